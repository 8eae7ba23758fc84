"""Costs of layers: closed forms, and sums that agree with the network."""

import pytest
import torch
from torch import nn

from m2fp_kd.compress.prune.cost import Layer, Widths, cost_of_layers, evaluating, parameters, total, widths_of
from m2fp_kd.models.backbones import build_backbone


class Twice(nn.Module):
    """A convolution that runs at two sizes, and a linear layer on tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, (3, 5), stride=2, padding=(1, 2))
        self.linear = nn.Linear(3, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.convolution(self.convolution(images))
        return self.linear(features.flatten(2).transpose(1, 2))


def test_multiply_accumulates_of_convolutions() -> None:
    assert Layer(8, 16, 1, (3, 3), 2, (4, 5)).macs == 8 * 16 * 9 * 20
    assert Layer(8, 8, 8, (5, 5), 1, (4, 5)).macs == 8 * 25 * 20
    assert Layer(8, 16, 4, (1, 1), 1, (1, 1)).macs == 2 * 16


def test_every_call_of_a_layer_counts_at_its_own_size() -> None:
    network = Twice()
    calls: list[Layer] = []
    total(network, cost_of_layers(network, 64, lambda layer: calls.append(layer) or 0))
    assert calls == [
        Layer(3, 3, 1, (3, 5), 2, (32, 32)),
        Layer(3, 3, 1, (3, 5), 2, (16, 16)),
        Layer(3, 7, 1, (1, 1), 1, (256, 1)),
    ]
    assert network.training and not any(module._forward_hooks for module in network.modules())


def test_multiply_accumulates_of_a_known_network() -> None:
    # torchvision gives 1.814 G for ResNet-18 at 224x224, of which the classifier that is left out here has 0.0005.
    network = build_backbone("resnet18")
    assert total(network, cost_of_layers(network, 224, lambda layer: layer.macs)) == pytest.approx(1.8136e9, rel=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small", "shufflenetv2"])
def test_parameters_of_the_layers_are_those_of_the_network(name: str) -> None:
    network = build_backbone(name)
    assert total(network, parameters) == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("layer", "smaller"),
    [
        (nn.Conv2d(24, 32, 3), nn.Conv2d(16, 8, 3)),
        (nn.Conv2d(24, 24, 5, groups=24, bias=False), nn.Conv2d(16, 16, 5, groups=16, bias=False)),
        (nn.Linear(24, 32), nn.Linear(16, 8)),
        (nn.BatchNorm2d(24), nn.BatchNorm2d(16)),
    ],
)
def test_parameters_at_other_widths(layer: nn.Module, smaller: nn.Module) -> None:
    assert parameters(layer, widths_of(smaller)) == sum(parameter.numel() for parameter in smaller.parameters())


def test_widths_of_a_depthwise_convolution() -> None:
    assert widths_of(nn.Conv2d(8, 8, 3, groups=8)) == Widths(8, 8, 8)


def test_evaluation_ends_with_every_module_in_its_own_mode() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3)).train()
    network[1].eval()
    with pytest.raises(ZeroDivisionError), evaluating(network):
        assert not network.training and not network[0].training
        raise ZeroDivisionError
    assert network.training and network[0].training and not network[1].training
