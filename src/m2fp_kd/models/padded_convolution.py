"""TensorFlow's "same" padding, which EfficientNet-Lites are trained with, as a constant of the layer."""

from typing import Any

import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads its input first: zeros (left, right, top, bottom) in `margins`.

    timm's `Conv2dSame` computes them from the size of its input anew, which no exporter can follow where sizes are
    dynamic: `torch.export` takes ten minutes over it and gives up. But in a backbone each layer's stride divides the
    sides of its input, and then they are always the same.
    """

    margins: tuple[int, int, int, int]

    @classmethod
    def of(cls, layer: Conv2dSame) -> "PaddedConvolution":
        """The same convolution, with the same parameters, for inputs whose sides its stride divides.

        It spans (kernel - 1) dilation + 1 pixels, and of what that is beyond the stride the smaller half goes before.
        """
        padded = cls(**_shape(layer))
        padded.weight, padded.bias = layer.weight, layer.bias
        sides = zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
        rows, columns = (max((kernel - 1) * dilation + 1 - stride, 0) for kernel, dilation, stride in sides)
        padded.margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return padded.train(layer.training)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W), sides divided by the stride, to (B, D, H / stride, W / stride)."""
        return super().forward(F.pad(maps, self.margins))


class PaddingThenConvolution(nn.Sequential):
    """A `PaddedConvolution`, with the same parameters, as two of PyTorch's own layers, which quantisers know."""

    def __init__(self, layer: PaddedConvolution) -> None:
        convolution = nn.Conv2d(**_shape(layer))
        convolution.weight, convolution.bias = layer.weight, layer.bias
        super().__init__(nn.ZeroPad2d(layer.margins), convolution)


def with_constant_padding(body: nn.Module) -> nn.Module:
    """Replace every `Conv2dSame` of a backbone, in place; names of parameters stay."""
    for module in list(body.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv2dSame):
                setattr(module, name, PaddedConvolution.of(child))
    return body


def _shape(layer: nn.Conv2d) -> dict[str, Any]:
    """Arguments for a convolution of the same shape, whose parameters are still to be given."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "dilation", "groups")
    return {name: getattr(layer, name) for name in names} | {"bias": layer.bias is not None, "device": "meta"}
