"""Pruned networks are rebuilt after any number of prunings, and widths of another network are an error."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from m2fp_kd.checkpoints.network import load_network, save_network
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.pruned import build_pruned, pruned_architecture
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage

LABELS = load_label_set("pascal_person_part")
ARCHITECTURE = {
    "_target_": "m2fp_kd.models.fpn.FPNStudent",
    "backbone": {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": "resnet18"},
    "num_parts": 7,
    "width": 16,
}


def student() -> FPNStudent:
    torch.manual_seed(0)
    return FPNStudent(build_backbone("resnet18"), 7, width=16).eval()


def hidden(channels: int, block: str = "backbone.body.layer1.0") -> dict[str, dict[str, int]]:
    """Return the widths of a residual block of 64 channels with fewer inner channels."""
    return {
        f"{block}.conv1": {"out_channels": channels, "in_channels": 64, "groups": 1},
        f"{block}.bn1": {"num_features": channels},
        f"{block}.conv2": {"out_channels": 64, "in_channels": channels, "groups": 1},
    }


def outputs(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.randint(0, 256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0))).part_logits


def save(path: Path, network: nn.Module, architecture: dict[str, Any]) -> Path:
    return save_network(path, network, LABELS, Geometry(64), architecture, Lineage())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_saved_pruned_network_is_restored_exactly(tmp_path: Path, layout: torch.memory_format) -> None:
    pruned = build_pruned(student().to(memory_format=layout), hidden(40))
    nn.init.normal_(pruned.backbone.body.layer1[0].bn1.running_mean)
    architecture = pruned_architecture(ARCHITECTURE, pruned)
    assert architecture == {
        "_target_": "m2fp_kd.models.pruned.build_pruned",
        "network": ARCHITECTURE,
        "widths": hidden(40),
    }
    network = load_network(save(tmp_path / "pruned", pruned, architecture))
    assert network.module.backbone.body.layer1[0].conv1.weight.shape == (40, 64, 3, 3)
    assert torch.equal(outputs(network.module), outputs(pruned))


def test_pruning_again_keeps_one_architecture_relative_to_the_first_network(tmp_path: Path) -> None:
    first = build_pruned(student(), hidden(40))
    network = load_network(save(tmp_path / "once", first, pruned_architecture(ARCHITECTURE, first)))
    second = build_pruned(network.module, hidden(24) | hidden(48, "backbone.body.layer1.1"))
    architecture = pruned_architecture(network.architecture, second)
    assert architecture["network"] == ARCHITECTURE
    assert architecture["widths"] == hidden(24) | hidden(48, "backbone.body.layer1.1")
    again = load_network(save(tmp_path / "twice", second, architecture))
    assert torch.equal(outputs(again.module), outputs(second))


def test_the_files_of_a_pruned_network_are_smaller(tmp_path: Path) -> None:
    whole, pruned = student(), build_pruned(student(), hidden(16))
    before = save(tmp_path / "whole", whole, ARCHITECTURE).with_suffix(".safetensors").stat().st_size
    card = save(tmp_path / "pruned", pruned, pruned_architecture(ARCHITECTURE, pruned))
    assert before - card.with_suffix(".safetensors").stat().st_size > 4 * 48 * (2 * 64 * 9)  # both convolutions
    assert json.loads(card.read_text())["architecture"]["widths"] == hidden(16)


def test_a_backbones_channels_are_part_of_the_widths() -> None:
    pruned = student()
    pruned.backbone.channels = (32, 128, 256, 512)
    widths = pruned_architecture(ARCHITECTURE, pruned)["widths"]
    assert widths == {"backbone": {"channels": [32, 128, 256, 512]}}
    assert build_pruned(student(), widths).backbone.channels == (32, 128, 256, 512)


def test_depthwise_and_linear_layers_are_narrowed() -> None:
    network = nn.ModuleDict({"depthwise": nn.Conv2d(24, 24, 3, groups=24), "linear": nn.Linear(8, 32)})
    weight, bias = network["depthwise"].weight.clone(), network["linear"].bias.clone()
    build_pruned(
        network,
        {
            "depthwise": {"out_channels": 16, "in_channels": 16, "groups": 16},
            "linear": {"out_features": 24, "in_features": 8},
        },
    )
    assert torch.equal(network["depthwise"].weight, weight[:16]) and torch.equal(network["linear"].bias, bias[:24])
    assert network["depthwise"](torch.zeros(1, 16, 3, 3)).shape == (1, 16, 1, 1)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"backbone.body.layer9.conv1": {"num_features": 8}}, "no module 'backbone.body.layer9.conv1'"),
        ({"backbone.body.bn1": {"out_channels": 8}}, "no module 'backbone.body.bn1' with the sizes out_channels"),
        ({"backbone.body.layer1": {"num_features": 8}}, "no module 'backbone.body.layer1'"),
        ({"backbone.body.bn1": {"num_features": 128}}, "bn1.num_features is 64 before pruning and cannot become 128"),
        ({"backbone": {"channels": [64, 128]}}, "backbone.channels"),
    ],
)
def test_widths_of_another_network_are_an_error(widths: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_pruned(student(), widths)


def test_an_architecture_of_another_network_is_an_error() -> None:
    other = ARCHITECTURE | {"backbone": ARCHITECTURE["backbone"] | {"name": "mobilenetv3_small"}}
    with pytest.raises(ValueError, match="does not build the network that was pruned"):
        pruned_architecture(other, student())
