import pytest
import torch
from torch import nn

from m2fp_kd.distill.training.depthwise import DepthwiseInFloat32


@pytest.mark.parametrize("groups", [2, 8])
def test_grouped_convolutions_are_computed_in_float32(groups):
    torch.manual_seed(0)
    conv, images = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=groups), torch.randn(2, 8, 9, 9)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        found = conv(images.bfloat16())
    assert torch.equal(found, conv(images.bfloat16().float()))


def test_groups_may_be_a_keyword_argument():
    images, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 1, 3, 3)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        assert nn.functional.conv2d(images, weight, groups=4).dtype == torch.float32


def test_everything_else_stays_in_bfloat16():
    conv, linear = nn.Conv2d(8, 8, 3), nn.Linear(7, 4)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        found = conv(torch.randn(2, 8, 9, 9))
        assert found.dtype == torch.bfloat16
        assert linear(found).dtype == torch.bfloat16


def test_without_autocast_nothing_changes():
    conv = nn.Conv2d(4, 4, 3, groups=4, dtype=torch.float64)
    with DepthwiseInFloat32():
        assert conv(torch.randn(1, 4, 8, 8, dtype=torch.float64)).dtype == torch.float64


def test_gradients_are_computed_in_float32():
    torch.manual_seed(0)
    conv, images = nn.Conv2d(4, 4, 5, stride=2, groups=4), torch.randn(2, 4, 11, 11)
    with torch.autocast("cpu", torch.bfloat16), DepthwiseInFloat32():
        conv(images).sum().backward()
    found, conv.weight.grad = conv.weight.grad, None
    conv(images).sum().backward()
    assert torch.equal(found, conv.weight.grad)
