"""Scores of channels, and sparsity training of BatchNorm scales."""

from types import SimpleNamespace

import torch
from torch import nn

from m2fp_kd.compress.prune.graph import channel_groups
from m2fp_kd.compress.prune.importance import ScaleSparsity, add_scale_sparsity, channel_scores
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent


def test_a_score_is_the_share_of_what_the_group_would_have_left() -> None:
    student = FPNStudent(build_backbone("resnet18"), num_parts=7, width=16)
    norm = student.backbone.body.layer1[0].bn1
    norm.weight.data = torch.randperm(64) + 1.0
    groups = channel_groups(student)
    (index,) = [number for number, group in enumerate(groups) if any(layer is norm for layer, _ in group.members)]
    # Scale k of 1..64, with k..64 left when its turn comes.
    expected = torch.tensor([k / sum(range(k, 65)) for k in norm.weight.int().tolist()])
    torch.testing.assert_close(channel_scores(groups, "bn_scale")[index], expected)


def test_the_penalty_pulls_every_scale_towards_zero() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    norm = network[1]
    norm.weight.data = torch.tensor([2.0, -3.0, 0.0, 0.5])
    network(torch.rand(2, 3, 4, 4)).square().sum().backward()
    before = {name: weight.grad.clone() for name, weight in network.named_parameters()}
    add_scale_sparsity(network, 0.1)
    # The gradient of what was minimised plus 0.1 times the sum of absolute scales.
    (penalty,) = torch.autograd.grad(0.1 * norm.weight.abs().sum(), norm.weight)
    torch.testing.assert_close(norm.weight.grad, before["1.weight"] + penalty)
    for name, weight in network.named_parameters():
        assert name == "1.weight" or torch.equal(weight.grad, before[name])


def test_a_scale_that_the_loss_does_not_need_vanishes() -> None:
    norm = nn.BatchNorm2d(2)
    optimiser = torch.optim.SGD(norm.parameters(), lr=0.1)
    images = torch.rand(4, 2, 4, 4)
    for _ in range(100):
        optimiser.zero_grad()
        (norm(images)[:, 0] - norm(images).detach()[:, 0].sign()).square().mean().backward()
        add_scale_sparsity(norm, 0.1)
        optimiser.step()
    assert norm.weight[0] > 0.5 and norm.weight[1].abs() < 0.02


def test_the_callback_does_not_change_decoders() -> None:
    student = nn.ModuleDict({"backbone": nn.BatchNorm2d(2), "decoder": nn.BatchNorm2d(2)})
    for norm in student.values():
        norm.weight.grad = torch.zeros(2)
    module = SimpleNamespace(student=SimpleNamespace(backbone=student["backbone"], decoder=student["decoder"]))
    ScaleSparsity(0.5).on_before_optimizer_step(None, module, None)
    assert torch.equal(student["backbone"].weight.grad, torch.full((2,), 0.5))
    assert torch.equal(student["decoder"].weight.grad, torch.zeros(2))
