"""The moving average of weights."""

import pytest
import torch

from m2fp_kd.distill.fit import warmed_average


def test_a_short_run_forgets_its_start() -> None:
    average, value = warmed_average(0.998), torch.tensor(100.0)
    for update in range(1, 101):
        value = average(value, torch.tensor(1.0), torch.tensor(update))
    assert value.item() == pytest.approx(1.0, abs=0.01)


def test_a_long_run_averages_at_the_decay_asked_for() -> None:
    average = warmed_average(0.9)
    assert average(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(10_000)).item() == pytest.approx(0.9)
