"""Fast gradients of depthwise convolutions for training in bfloat16 on CPUs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

KERNELS = (3, 5)
STRIDES = (1, 2)

WINDOWS = (0, 2)
"""Where the windows of 3 begin that cover a kernel's side of 5."""


class FastDepthwise(TorchFunctionMode):
    """Context in which autocast to bfloat16 on the CPU computes grouped convolutions fast.

    The gradients of depthwise convolutions in bfloat16 fall back to PyTorch's reference kernels: up to fifty times the
    time of the forward pass for the weights of 5x5 convolutions, and for the input of those with stride 2.
    `_Depthwise` has its own gradients for the shapes of our backbones; other grouped convolutions stay in float32,
    where they are two to fifteen times faster than in bfloat16.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        if func is F.conv2d and torch.is_autocast_enabled("cpu"):
            return _conv2d(*args, **kwargs or {})
        return func(*args, **kwargs or {})


def _conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Stand in for `F.conv2d`."""
    if groups == 1:
        return F.conv2d(images, weight, bias, stride, padding, dilation)
    step, margin = _both(stride), _both(padding)
    side = weight.shape[-1]
    depthwise = groups == images.shape[1] == weight.shape[0] and bias is None
    has_gradients = side == weight.shape[-2] and side in KERNELS and step in STRIDES and margin in range(side)
    if depthwise and has_gradients and _both(dilation) == 1 and torch.get_autocast_dtype("cpu") == torch.bfloat16:
        return _Depthwise.apply(images, weight, step, margin)
    with torch.autocast("cpu", enabled=False):
        images, weight, bias = images.float(), weight.float(), None if bias is None else bias.float()
        return F.conv2d(images, weight, bias, stride, padding, dilation, groups)


def _both(value: Any) -> int | None:
    """Return an option that holds for rows and columns alike; None if they differ or a name describes it."""
    if isinstance(value, int):
        return value
    return value[0] if not isinstance(value, str) and len(set(value)) == 1 else None


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution in bfloat16, (B, C, H, W) -> (B, C, H', W')."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)
    def forward(context: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        context.save_for_backward(images, weight)
        context.stride, context.padding = stride, padding
        return F.conv2d(images, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(  # type: ignore[override]
        context: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = context.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_images, of_weight = context.needs_input_grad[:2]
        return (
            _images_gradient(gradient, images, weight, context.stride, context.padding) if of_images else None,
            _weight_gradient(gradient, images, weight, context.stride, context.padding) if of_weight else None,
            None,
            None,
        )


def _images_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Compute the gradient of the input by convolutions of stride 1.

    With stride 2, the even and odd rows and columns of the input each meet their own taps of the kernel, at most 3x3.
    """
    (batch, channels, height, width), side = images.shape, weight.shape[-1]
    if stride == 1:
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, side - 1 - padding, 1, channels)
    taps = F.pad(weight, (0, 6 - side, 0, 6 - side))
    rows, columns = (2 * (cells + 2) for cells in gradient.shape[-2:])
    padded = gradient.new_empty((batch, channels, rows, columns)).contiguous(memory_format=torch.channels_last)
    for row in range(2):
        for column in range(2):
            kernel = taps[:, :, row::2, column::2].flip(2, 3).contiguous()
            padded[:, :, row::2, column::2] = F.conv2d(gradient, kernel, None, 1, 2, 1, channels)
    return padded[:, :, padding : padding + height, padding : padding + width]


def _weight_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Compute the gradient of the kernels in windows of 3x3, the only side with a fast kernel for it."""
    side, (rows, columns) = weight.shape[-1], gradient.shape[-2:]
    if side == 3:
        return _window_gradient(gradient, images, weight, stride, padding)
    padded, found = F.pad(images, (padding,) * 4), torch.empty_like(weight)
    for top in WINDOWS:
        for left in WINDOWS:
            seen = padded[:, :, top : top + (rows - 1) * stride + 3, left : left + (columns - 1) * stride + 3]
            window = (..., slice(top, top + 3), slice(left, left + 3))
            seen = seen.contiguous(memory_format=torch.channels_last)
            found[window] = _window_gradient(gradient, seen, weight[window].contiguous(), stride, 0)
    return found


def _window_gradient(gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    sides = {"stride": [stride] * 2, "padding": [padding] * 2, "dilation": [1, 1]}
    rest = {"transposed": False, "output_padding": [0, 0], "groups": len(weight), "output_mask": [False, True, False]}
    return torch.ops.aten.convolution_backward(gradient, images, weight, None, **sides, **rest)[1]
