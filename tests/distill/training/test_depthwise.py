import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.distill.training.depthwise import FastDepthwise

ROUNDING = 2**-7
"""Relative error of a bfloat16, with one for the sum of windows."""


def gradients(conv: nn.Conv2d, images: Tensor, output_gradient: Tensor) -> tuple[Tensor, Tensor]:
    images = images.detach().clone().requires_grad_()
    conv.zero_grad()
    conv(images).backward(output_gradient.to(conv(images).dtype))
    assert images.grad is not None and conv.weight.grad is not None
    return images.grad, conv.weight.grad.clone()


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width", "padding"), [(12, 10, 1), (11, 13, 2), (9, 8, 0), (7, 7, 1)])
def test_gradients_equal_those_of_pytorch(side: int, stride: int, height: int, width: int, padding: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 16, side, stride, padding, groups=16, bias=False)
    images = torch.randn(2, 16, height, width).bfloat16().float()  # rounded already, so that only the kernels round
    conv.weight.data = conv.weight.data.bfloat16().float()
    with torch.no_grad():
        output_gradient = torch.randn_like(conv(images)).bfloat16().float()
    expected = gradients(conv, images, output_gradient)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        found = gradients(conv, images, output_gradient)
    for here, there in zip(found, expected, strict=True):
        assert here.dtype == torch.float32
        assert (here - there).abs().max() <= ROUNDING * there.abs().max()


def test_depthwise_convolutions_give_bfloat16() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        assert conv(torch.randn(2, 8, 9, 9)).dtype == torch.bfloat16


def test_the_input_needs_no_gradient() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        conv(torch.randn(2, 8, 9, 9)).sum().backward()
    assert conv.weight.grad is not None and conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "groups": 2},
        {"kernel_size": 3, "groups": 8, "bias": True},
        {"kernel_size": 7, "groups": 8},
        {"kernel_size": (3, 5), "groups": 8},
        {"kernel_size": 3, "groups": 8, "stride": 3},
        {"kernel_size": 3, "groups": 8, "stride": (1, 2)},
        {"kernel_size": 3, "groups": 8, "dilation": 2},
        {"kernel_size": 3, "groups": 8, "padding": "same"},
    ],
)
def test_other_grouped_convolutions_are_computed_in_float32(options: dict) -> None:
    torch.manual_seed(0)
    conv, images = nn.Conv2d(8, 8, **{"bias": False} | options), torch.randn(2, 8, 19, 19)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        found = conv(images.bfloat16())
    assert torch.equal(found, conv(images.bfloat16().float()))


def test_groups_may_be_a_keyword_argument() -> None:
    images, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 7, 7)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        assert F.conv2d(images, weight, groups=4).dtype == torch.float32


def test_everything_else_stays_in_bfloat16() -> None:
    conv, linear = nn.Conv2d(8, 8, 3), nn.Linear(7, 4)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        found = conv(torch.randn(2, 8, 9, 9))
        assert found.dtype == torch.bfloat16
        assert linear(found).dtype == torch.bfloat16


def test_without_autocast_nothing_changes() -> None:
    conv = nn.Conv2d(4, 4, 3, groups=4, dtype=torch.float64)
    with FastDepthwise():
        assert conv(torch.randn(1, 4, 8, 8, dtype=torch.float64)).dtype == torch.float64
