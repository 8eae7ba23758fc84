"""Warm-up, decay and parameter groups in closed form."""

import pytest
import torch
from torch import nn

from m2fp_kd.distill.schedule import parameter_groups, warmup_polynomial


def rates(total: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_polynomial(optimizer, total, **options)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def test_linear_warm_up_then_polynomial_decay_to_zero() -> None:
    seen = rates(100, warmup=0.1, power=0.9)
    for step in range(10):
        assert seen[step] == pytest.approx(2.0 * (0.01 + 0.99 * step / 10))
    for step in range(10, 101):
        assert seen[step] == pytest.approx(2.0 * (1 - (step - 10) / 90) ** 0.9, abs=1e-9)


def test_a_run_of_one_step_has_a_rate() -> None:
    assert rates(1)[0] > 0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


def test_backbone_learns_slower_and_vectors_do_not_decay() -> None:
    net = Net()
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(net, lr=1.0, weight_decay=0.1, backbone_scale=0.2)
        for parameter in group["params"]
    }
    expected = {
        "backbone.0.weight": (0.2, 0.1),
        "backbone.0.bias": (0.2, 0.0),
        "backbone.1.weight": (0.2, 0.0),
        "backbone.1.bias": (0.2, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }
    parameters = dict(net.named_parameters())
    assert {name: found[id(parameters[name])] for name in expected} == expected
    assert len(found) == len(expected)  # what is frozen is in no group
