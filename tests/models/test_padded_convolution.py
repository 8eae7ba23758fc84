import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from m2fp_kd.models.padded_convolution import PaddedConvolution, PaddingThenConvolution, with_constant_padding


@pytest.mark.parametrize("sides", [(32, 64), (96, 32)])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 2, 1), (5, 2, 1), (5, 4, 1), (3, 2, 2), (1, 2, 1)])
def test_padding_equals_tensorflows_if_the_stride_divides_the_sides(
    kernel: int, stride: int, dilation: int, sides: tuple[int, int]
) -> None:
    layer = Conv2dSame(4, 6, kernel, stride, dilation=dilation, groups=2)
    maps = torch.rand(2, 4, *sides)
    padded = PaddedConvolution.of(layer)
    torch.testing.assert_close(padded(maps), layer(maps), rtol=0, atol=0)
    torch.testing.assert_close(PaddingThenConvolution(padded)(maps), layer(maps), rtol=0, atol=0)


def test_kernel_and_stride_may_differ_by_axis() -> None:
    layer = Conv2dSame(1, 1, (5, 3), (2, 4), bias=False)
    maps = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(PaddedConvolution.of(layer)(maps), layer(maps), rtol=0, atol=0)


def test_backbone_keeps_its_parameters_and_their_names() -> None:
    body = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    images, before = torch.rand(1, 3, 64, 96), body.state_dict()
    levels = body(images)
    with_constant_padding(body)
    assert not any(isinstance(module, Conv2dSame) for module in body.modules())
    assert {name: tensor.data_ptr() for name, tensor in body.state_dict().items()} == {
        name: tensor.data_ptr() for name, tensor in before.items()
    }
    for level, expected in zip(body(images), levels, strict=True):
        torch.testing.assert_close(level, expected, rtol=0, atol=0)


def test_backbone_exports_at_dynamic_sizes() -> None:
    """With `Conv2dSame`, sizes become long symbolic expressions that take minutes and cannot be saved."""
    body: nn.Module = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(4,)).eval()
    cells = {side: torch.export.Dim(side, min=1, max=8) for side in ("rows", "columns")}
    sizes = {2: 32 * cells["rows"], 3: 32 * cells["columns"]}
    program = torch.export.export(with_constant_padding(body), (torch.rand(1, 3, 64, 96),), dynamic_shapes=(sizes,))
    images = torch.rand(1, 3, 96, 160)
    torch.testing.assert_close(program.module()(images), body(images))
    assert "ceil" not in str(program.graph)
