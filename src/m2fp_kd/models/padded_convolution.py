"""Convolutions with TensorFlow's "same" padding, as used by EfficientNet-Lite, as a constant of the layer."""

from typing import Any

import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn


class PaddedConvolution(nn.Conv2d):
    """A convolution that first pads its input with zeros, by `margins` (left, right, top, bottom).

    timm's `Conv2dSame` computes the margins from the size of each input, which exporters cannot trace with dynamic
    sizes: `torch.export` takes ten minutes and fails. In a backbone, however, each layer's stride divides the sides of
    its input, and then the margins are constant.
    """

    margins: tuple[int, int, int, int]

    @classmethod
    def of(cls, layer: Conv2dSame) -> "PaddedConvolution":
        """Return the same convolution, sharing its parameters, for inputs whose sides are multiples of the stride.

        The kernel spans (kernel - 1) dilation + 1 pixels; the excess over the stride is padded, the smaller half on the
        left and at the top.
        """
        padded = cls(**_shape(layer))
        padded.weight, padded.bias = layer.weight, layer.bias
        sides = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
        rows, columns = (max((kernel - 1) * dilation + 1 - stride, 0) for kernel, dilation, stride in sides)
        padded.margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return padded.train(layer.training)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W), H and W multiples of the stride, to (B, D, H / stride, W / stride)."""
        return super().forward(F.pad(maps, self.margins))


class PaddingThenConvolution(nn.Sequential):
    """A `PaddedConvolution` as two layers of PyTorch, which quantisers recognise; it shares the parameters."""

    def __init__(self, layer: PaddedConvolution) -> None:
        convolution = nn.Conv2d(**_shape(layer))
        convolution.weight, convolution.bias = layer.weight, layer.bias
        super().__init__(nn.ZeroPad2d(layer.margins), convolution)


def with_constant_padding(body: nn.Module) -> nn.Module:
    """Replace every `Conv2dSame` of a backbone in place; the names of the parameters stay the same."""
    for module in list(body.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv2dSame):
                setattr(module, name, PaddedConvolution.of(child))
    return body


def _shape(layer: nn.Conv2d) -> dict[str, Any]:
    """Return arguments for a convolution of the same shape, without allocating its parameters."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    return {name: getattr(layer, name) for name in names} | {"bias": layer.bias is not None, "device": "meta"}
