"""Channel pruning: which and how many channels are removed, and that the rest of the network is unchanged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from m2fp_kd.checkpoints.network import load_network, save_network
from m2fp_kd.compress.prune.graph import channel_groups
from m2fp_kd.compress.prune.latency import LatencyTable
from m2fp_kd.compress.prune.plan import LEAST, MULTIPLE
from m2fp_kd.compress.prune.pruning import Goal, PruneError, measure, prune_towards
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import Backbone, build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.pruned import pruned_architecture
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage
from tests.distill.tiny import TINY

LABELS = load_label_set("pascal_person_part")
SIZE = 64


class Body(nn.Module):
    """A prunable stem of 32 channels and four levels of 16 channels, which may not be pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.stages = nn.ModuleList(nn.Conv2d(c, 16, 3, stride=2, padding=1) for c in (32, 16, 16, 16))

    def forward(self, images: Tensor) -> list[Tensor]:
        level, levels = self.norm(self.stem(images)).relu(), []
        for stage in self.stages:
            level = stage(level).relu()
            levels.append(level)
        return levels


def small(seed: int = 0) -> FPNStudent:
    torch.manual_seed(seed)
    return FPNStudent(Backbone(Body(), (16,) * 4), num_parts=7, width=16)


def architecture(head: str, backbone: str) -> dict[str, Any]:
    node = {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": backbone}
    if head == "fpn":
        return {"_target_": "m2fp_kd.models.fpn.FPNStudent", "backbone": node, "num_parts": 7, "width": 32}
    if head == "m2fp":
        student = "m2fp_kd.models.m2fp_student.M2FPStudent"
        return {"_target_": student, "backbone": node, "num_parts": 7, "has_human": True, "width": 32, "queries": 8}
    sizes = TINY | {"encoder_feedforward": 128, "decoder_feedforward": 256}
    return {"_target_": "m2fp_kd.models.m2fp.build_m2fp", "backbone": node, "num_classes": 8, **sizes}


def build(architecture: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return instantiate(architecture).eval()


@torch.no_grad()
def answer(network: nn.Module, height: int = 64, width: int = 96) -> list[Tensor]:
    images = torch.randint(0, 256, (2, 3, height, width), generator=torch.Generator().manual_seed(0))
    output = network(images)
    if isinstance(network, M2FP):
        return [output.class_logits, output.mask_logits]
    return [output.part_logits, output.features]


def shapes(network: nn.Module) -> list[torch.Size]:
    return [tensor.shape for size in ((64, 64), (96, 128)) for tensor in answer(network, *size)]


def silence(network: nn.Module, share: float) -> None:
    """Set a share of the channels of every group to zero in all layers that write or read them."""
    for group in channel_groups(network):
        kept = max(LEAST, MULTIPLE * round((1 - share) * group.channels / MULTIPLE))
        silent = torch.randperm(group.channels)[kept:]
        for layer, axis in group.members:
            with torch.no_grad():
                if axis != "inputs":
                    for tensor in layer.parameters():
                        tensor[silent] = 0
                elif isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.weight[:, silent] = 0


@pytest.mark.parametrize(
    ("head", "backbone"),
    [
        ("fpn", "resnet18"),
        ("fpn", "mobilenetv3"),
        ("fpn", "shufflenetv2"),
        ("m2fp", "efficientnet_lite0"),
        ("teacher", "mobilenetv3_small"),
    ],
)
def test_forty_percent_fewer_parameters_in_small_steps(head: str, backbone: str, tmp_path: Path) -> None:
    card = architecture(head, backbone)
    network = build(card)
    before = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    before = {name: module.out_channels for name, module in before.items()}
    given, whole = shapes(network), measure(network, SIZE, "parameters")
    goal, result = Goal("parameters", 0.4, whole), None
    while result is None or not result.done:
        result = prune_towards(network, SIZE, goal, "l1")
        assert 0.85 * result.before <= result.after < result.before
        assert result.after == sum(parameter.numel() for parameter in network.parameters())
        assert shapes(network) == given
        card = pruned_architecture(card, network)
    assert 0.58 * whole < result.after <= 0.6 * whole
    for name, channels in before.items():
        left = network.get_submodule(name).out_channels
        assert left == channels or (left % MULTIPLE == 0 and LEAST <= left < channels)
    levels = network.backbone(torch.zeros(1, 3, 64, 64))
    assert network.backbone.channels == tuple(level.shape[1] for level in levels)
    loaded = load_network(save_network(tmp_path / "pruned", network, LABELS, Geometry(SIZE), card, Lineage()))
    assert loaded.architecture["network"] == architecture(head, backbone)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(answer(loaded.module), answer(network), strict=True))


@pytest.mark.parametrize("importance", ["l1", "bn_scale"])
@pytest.mark.parametrize(
    ("head", "backbone"), [("fpn", "resnet18"), ("m2fp", "mobilenetv3_small"), ("fpn", "shufflenetv2")]
)
def test_zero_channels_are_removed_first_without_any_change(head: str, backbone: str, importance: str) -> None:
    network = build(architecture(head, backbone))
    silence(network, 0.25)
    expected, whole = answer(network), measure(network, SIZE, "parameters")
    result = prune_towards(network, SIZE, Goal("parameters", 0.1, whole), importance)
    assert result.done and result.after < 0.91 * whole
    for ours, theirs in zip(answer(network), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_l1_keeps_the_channels_of_the_largest_weights() -> None:
    student = small()
    order = torch.randperm(32)
    with torch.no_grad():
        student.backbone.body.norm.weight.fill_(1)
        student.backbone.body.stages[0].weight.fill_(1)
        student.backbone.body.stem.weight.copy_((1.0 + order).view(-1, 1, 1, 1).expand(32, 3, 3, 3))
    stem = student.backbone.body.stem.weight.clone()
    prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "l1")
    assert torch.equal(student.backbone.body.stem.weight, stem[order >= 8])
    assert student.backbone.body.stages[0].in_channels == student.backbone.body.norm.num_features == 24


def test_bn_scale_keeps_the_channels_of_the_largest_scales() -> None:
    student = small()
    scales = torch.linspace(-1, 1, 32)[torch.randperm(32)]
    student.backbone.body.norm.weight.data = scales.clone()
    prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "bn_scale")
    kept = scales.abs() >= scales.abs().sort().values[8]
    assert torch.equal(student.backbone.body.norm.weight, scales[kept])


def test_taylor_keeps_the_channels_that_the_loss_depends_on() -> None:
    student = small()
    needed = torch.randperm(32)[:24].sort().values
    body, stem = student.backbone.body, student.backbone.body.stem.weight.clone()
    for weight in student.parameters():
        weight.grad = torch.zeros_like(weight)
    (body.norm(body.stem(torch.rand(1, 3, SIZE, SIZE)))[:, needed].square() * torch.rand(24, 32, 32)).sum().backward()
    prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "taylor")
    assert torch.equal(student.backbone.body.stem.weight, stem[needed])


def test_taylor_without_gradients_is_an_error() -> None:
    student = small()
    with pytest.raises(ValueError, match="taylor importance needs gradients"):
        prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "taylor")


def test_no_layer_gets_fewer_than_sixteen_channels() -> None:
    student = small()
    goal = Goal("parameters", 0.9, measure(student, SIZE, "parameters"))
    with pytest.raises(PruneError, match=r"down to 16 channels.*% fewer, but the goal is 90 %"):
        while True:
            assert not prune_towards(student, SIZE, goal, "l1").done
    assert student.backbone.body.stem.out_channels == 16


def test_a_reached_goal_changes_nothing() -> None:
    student = small()
    weights = {name: weight.clone() for name, weight in student.state_dict().items()}
    result = prune_towards(student, SIZE, Goal("parameters", 0.5, 1e9), "l1")
    assert result.done and result.before == result.after == measure(student, SIZE, "parameters")
    assert all(torch.equal(weight, weights[name]) for name, weight in student.state_dict().items())


def test_macs_and_milliseconds_are_goals_too(tmp_path: Path) -> None:
    # On this machine a convolution takes its multiply-accumulates in nanoseconds: both goals ask for the same.
    table = LatencyTable(tmp_path / "table.json", "this machine", lambda layer: layer.macs / 1e6)
    networks = [build(architecture("fpn", "mobilenetv3_small")) for _ in range(2)]
    macs = measure(networks[0], SIZE, "macs")
    assert measure(networks[0], SIZE, "milliseconds", table) == pytest.approx(macs / 1e6)
    first = prune_towards(networks[0], SIZE, Goal("macs", 0.1, macs), "l1")
    second = prune_towards(networks[1], SIZE, Goal("milliseconds", 0.1, macs / 1e6), "l1", table=table)
    assert first.done and second.done and 0.88 * macs < first.after <= 0.9 * macs
    assert first.after == measure(networks[0], SIZE, "macs") == pytest.approx(1e6 * second.after)
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()
    assert all(map(torch.equal, networks[0].state_dict().values(), networks[1].state_dict().values()))


def test_channels_that_save_nothing_stay(tmp_path: Path) -> None:
    table = LatencyTable(tmp_path / "table.json", "depthwise only", lambda layer: layer.macs if layer.groups > 1 else 0)
    network = build(architecture("fpn", "mobilenetv3_small"))
    whole = measure(network, SIZE, "milliseconds", table)
    squeezed = [m.out_channels for name, m in network.named_modules() if name.endswith("conv_reduce")]
    assert prune_towards(network, SIZE, Goal("milliseconds", 0.1, whole), "l1", table=table).done
    assert [m.out_channels for name, m in network.named_modules() if name.endswith("conv_reduce")] == squeezed
    table = LatencyTable(tmp_path / "other.json", "all the same", lambda layer: 1.0)
    whole = measure(network, SIZE, "milliseconds", table)
    with pytest.raises(PruneError, match="all blocks save nothing"):
        prune_towards(network, SIZE, Goal("milliseconds", 0.1, whole), "l1", table=table)


def test_of_equally_important_channels_those_that_save_more_are_removed() -> None:
    network = build(architecture("fpn", "resnet18"))
    first, second = network.backbone.body.layer4
    for block in (first, second):  # the smallest scales of the network, equal in both blocks
        block.bn1.weight.data = torch.linspace(1e-3, 1, 512)
    prune_towards(network, SIZE, Goal("parameters", 0.005, measure(network, SIZE, "parameters")), "bn_scale")
    # The second block's hidden channels are made from 512 channels, the first one's from 256.
    assert (first.conv1.out_channels, second.conv1.out_channels) == (512, 504)


def test_mode_and_memory_layout_do_not_change() -> None:
    student = small().train().to(memory_format=torch.channels_last)
    student.backbone.body.norm.eval()
    prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "l1")
    body = student.backbone.body
    assert student.training and body.stem.training and not body.norm.training
    assert body.stem.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_pruned_network_trains() -> None:
    student = small().train()
    prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "l1")
    student(torch.rand(2, 3, SIZE, SIZE)).part_logits.square().sum().backward()
    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(
    ("goal", "options", "error", "message"),
    [
        (("milliseconds", 0.1), {}, ValueError, "needs a latency table"),
        (("flops", 0.1), {}, ValueError, "unknown quantity 'flops'"),
        (("parameters", 0.1), {"importance": "random"}, ValueError, "unknown importance 'random'"),
        (("parameters", 0.1), {"most": 1e-4}, PruneError, "more than 0.01 % of the parameters; allow larger steps"),
        (("parameters", 1.0), {}, ValueError, "between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(
    goal: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    student = small()
    whole = measure(student, SIZE, "parameters")
    with pytest.raises(error, match=message):
        prune_towards(student, SIZE, Goal(*goal, whole), **{"importance": "l1"} | options)


def test_only_our_networks_are_pruned() -> None:
    with pytest.raises(TypeError, match="only students and M2FP can be pruned, not a Backbone"):
        prune_towards(build_backbone("resnet18"), SIZE, Goal("parameters", 0.1, 1e6), "l1")


def test_weights_that_are_not_finite_are_refused() -> None:
    student = small()
    student.backbone.body.stem.weight.data[0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        prune_towards(student, SIZE, Goal("parameters", 0.01, measure(student, SIZE, "parameters")), "l1")
