"""Warm-up, decay and parameter groups in closed form."""

import pytest
import torch
from torch import nn

from m2fp_kd.distill.training.schedule import parameter_groups, warmup_polynomial


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


def test_warm_up_and_power_are_the_given_ones() -> None:
    assert rates(100, power=2.0)[5::5] == pytest.approx(
        [2.0 * (1 - step / 95) ** 2 for step in range(0, 100, 5)], abs=1e-9
    )
    assert rates(100, warmup=0.3).index(2.0) == 30


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.05), (2, 0.05), (4, 0.0)])
def test_the_shortest_run_has_one_step_of_warm_up(total: int, warmup: float) -> None:
    seen = rates(total, warmup=warmup)
    assert seen[:2] == pytest.approx([0.02, 2.0]) and seen[-1] == pytest.approx(0 if total > 1 else 2.0)


@pytest.mark.parametrize("step", [3, 10, 60])
def test_a_resumed_schedule_continues(step: int) -> None:
    whole = rates(100, warmup=0.1)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_polynomial(optimizer, 100, warmup=0.1)
    for _ in range(step):
        optimizer.step()
        schedule.step()
    saved = optimizer.state_dict(), schedule.state_dict()
    resumed = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    goes_on = warmup_polynomial(resumed, 100, warmup=0.1)
    resumed.load_state_dict(saved[0])
    goes_on.load_state_dict(saved[1])
    for expected in whole[step:]:
        assert resumed.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-9)
        resumed.step()
        goes_on.step()


def test_groups_keep_their_ratio() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.2)]
    optimizer = torch.optim.SGD(groups)
    schedule = warmup_polynomial(optimizer, 20, warmup=0.2)
    for _ in range(19):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(0.2 * first) and first > 0
        optimizer.step()
        schedule.step()


class Net(nn.Module):
    """A module with the backbone inside the student, like the training module."""

    def __init__(self) -> None:
        super().__init__()
        backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.student = nn.ModuleDict({"backbone": backbone, "neck": nn.Conv2d(4, 4, 1, bias=False)})
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
        "student.backbone.0.weight": (0.2, 0.1),
        "student.backbone.0.bias": (0.2, 0.0),
        "student.backbone.1.weight": (0.2, 0.0),
        "student.backbone.1.bias": (0.2, 0.0),
        "student.neck.weight": (1.0, 0.1),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }
    parameters = dict(net.named_parameters())
    assert {name: found[id(parameters[name])] for name in expected} == expected
    assert len(found) == len(expected)  # frozen parameters are in no group
