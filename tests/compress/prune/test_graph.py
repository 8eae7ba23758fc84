"""Groups of channels: coupled layers, and layers that are never pruned."""

import pytest
import torch
from torch import nn

from m2fp_kd.compress.prune.cost import Weighted
from m2fp_kd.compress.prune.graph import ChannelGroup, Prunable, channel_groups
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp_student import M2FPStudent
from tests.distill.tiny import tiny_m2fp


def fpn(backbone: str) -> FPNStudent:
    return FPNStudent(build_backbone(backbone), num_parts=7, width=32)


def axes(network: nn.Module, group: ChannelGroup) -> dict[str, str]:
    names = {module: name for name, module in network.named_modules()}
    return {names[layer]: axis for layer, axis in group.members}


def group_of(network: Prunable, layer: Weighted) -> dict[str, str]:
    """Return the group that a layer's outputs belong to."""
    (found,) = [
        group
        for group in channel_groups(network)
        if any(member is layer and axis != "inputs" for member, axis in group.members)
    ]
    return axes(network, found)


def test_residual_partners_share_a_group_with_the_decoders_inputs() -> None:
    student = fpn("resnet18")
    group = group_of(student, student.backbone.body.layer1[0].conv2)
    body = "backbone.body"
    assert group == {
        f"{body}.conv1": "outputs", f"{body}.bn1": "both",
        f"{body}.layer1.0.conv1": "inputs", f"{body}.layer1.0.conv2": "outputs", f"{body}.layer1.0.bn2": "both",
        f"{body}.layer1.1.conv1": "inputs", f"{body}.layer1.1.conv2": "outputs", f"{body}.layer1.1.bn2": "both",
        f"{body}.layer2.0.conv1": "inputs", f"{body}.layer2.0.downsample.0": "inputs",
        "decoder.laterals.0.0": "inputs",
    }  # fmt: skip


def test_squeeze_excite_and_depthwise_follow_the_channels_that_they_scale() -> None:
    student = fpn("mobilenetv3_small")
    block = student.backbone.body.blocks[2][0]
    group = {name.rpartition("blocks.2.0.")[2]: axis for name, axis in group_of(student, block.conv_pw).items()}
    assert group == {
        "conv_pw": "outputs", "bn1": "both", "conv_dw": "both", "bn2": "both",
        "se.conv_reduce": "inputs", "se.conv_expand": "outputs", "conv_pwl": "inputs",
    }  # fmt: skip


def test_a_shuffle_net_loses_channels_inside_its_blocks_only() -> None:
    student = fpn("shufflenetv2")
    stages = [student.backbone.body.stage2, student.backbone.body.stage3, student.backbone.body.stage4]
    inner = [[block.branch2[3].out_channels for block in stage] for stage in stages]
    assert inner == [[58] * 4, [116] * 8, [232] * 4]
    groups = channel_groups(student)
    assert sorted(group.channels for group in groups) == [24] + [58] * 4 + [116] * 8 + [232] * 4
    for block in (block for stage in stages for block in stage):
        names = {name.rpartition("branch2.")[2]: axis for name, axis in group_of(student, block.branch2[0]).items()}
        assert names == {"0": "outputs", "1": "both", "3": "both", "4": "both", "5": "inputs"}


@pytest.mark.parametrize(
    "network",
    [lambda: M2FPStudent(build_backbone("mobilenetv3_small"), 7, True, width=32, queries=8), tiny_m2fp],
    ids=["student", "M2FP"],
)
def test_behind_the_backbone_only_hidden_layers_lose_channels(network) -> None:
    network = network()
    behind = [
        (name, axis)
        for group in channel_groups(network)
        for name, axis in axes(network, group).items()
        if not name.startswith("backbone.")
    ]
    assert {axis for name, axis in behind if name.endswith("linear1")} == {"outputs"}
    rest = [(name, axis) for name, axis in behind if not name.endswith("linear1")]
    assert {axis for _, axis in rest} == {"inputs"}
    kinds = {name.rpartition(".")[0] if name.endswith(".0") else name.rpartition(".")[2] for name, _ in rest}
    laterals = {f"pixel_decoder.laterals.{i}" for i in range(4)}
    projections = {f"pixel_decoder.projections.{i}" for i in range(3)} | {"pixel_decoder.lateral"}
    assert kinds == {"linear2"} | (laterals if isinstance(network, M2FPStudent) else projections)


def test_finding_groups_does_not_change_the_network() -> None:
    student = fpn("mobilenetv3_small").train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    with torch.no_grad():
        channel_groups(student)
    assert student.training and all(module.training for module in student.modules())
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert not any(module._forward_hooks for module in student.modules())
