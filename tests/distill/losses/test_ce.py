"""Losses with labels, and the masked mean."""

import math

import pytest
import torch

from m2fp_kd.distill.losses.ce import ce
from m2fp_kd.distill.losses.jaccard import jaccard
from m2fp_kd.distill.losses.means import masked_mean, parts_on_grid


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_flat_logits_cost_the_logarithm_of_the_number_of_parts() -> None:
    parts = torch.randint(0, 5, (2, 16, 16))
    assert ce(torch.zeros(2, 5, 4, 4), parts, 255).item() == pytest.approx(math.log(5), rel=1e-6)


def test_without_labels_value_and_gradient_are_zero() -> None:
    student = logits(2, 5, 4, 4).requires_grad_()
    loss = ce(student, torch.full((2, 16, 16), 255), 255)
    loss.backward()
    assert loss.item() == 0 and student.grad is not None and student.grad.abs().max() == 0


def test_jaccard_of_perfect_and_of_wrong_predictions() -> None:
    parts = torch.tensor([[0, 1], [2, 255]])[None]
    right = 50.0 * torch.nn.functional.one_hot(parts.clamp(max=2), 3).movedim(-1, 1).float()
    assert jaccard(right, parts, 255).item() == pytest.approx(0, abs=1e-5)
    assert jaccard(right.roll(1, dims=1), parts, 255).item() == pytest.approx(1, abs=1e-5)


def test_a_cell_has_the_label_of_its_centre() -> None:
    parts = torch.zeros(1, 8, 8, dtype=torch.uint8)
    parts[0, 2, 6] = 7
    assert parts_on_grid(parts, torch.zeros(1, 3, 2, 2)).tolist() == [[[0, 7], [0, 0]]]


def test_masked_mean_without_weights_is_zero() -> None:
    assert masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == 0


def test_masked_mean_is_weighted() -> None:
    assert masked_mean(torch.tensor([1.0, 4.0]), torch.tensor([0.02, 0.01])).item() == pytest.approx(2)
