"""Losses against closed forms and their documented properties."""

import math

import pytest
import torch
from torch.testing import assert_close

from m2fp_kd.distill.losses import hard_parts, masked_mean, soft_jaccard, soft_parts

VALID = torch.ones(2, 4, 4, dtype=torch.bool)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_soft_parts_is_zero_for_equal_distributions() -> None:
    student = logits(2, 5, 4, 4)
    assert_close(soft_parts(student, student.log_softmax(1), VALID, 4.0), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_soft_parts_ignores_a_shift_of_the_logits() -> None:
    student, teacher = logits(2, 5, 4, 4), logits(2, 5, 4, 4, seed=1).log_softmax(1)
    assert_close(soft_parts(student + 3.0, teacher, VALID, 2.0), soft_parts(student, teacher, VALID, 2.0))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_soft_parts_of_two_parts_by_hand(temperature: float) -> None:
    teacher = torch.tensor([0.9, 0.1]).log()
    raised = [0.9 ** (1 / temperature), 0.1 ** (1 / temperature)]
    p = [value / sum(raised) for value in raised]
    expected = temperature**2 * sum(value * math.log(value / 0.5) for value in p)
    student = torch.zeros(1, 2, 1, 1)
    got = soft_parts(student, teacher.view(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), temperature)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_soft_parts_does_not_grow_with_the_photo() -> None:
    student, teacher = logits(1, 5, 4, 4), logits(1, 5, 4, 4, seed=1).log_softmax(1)
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    tiled = soft_parts(student.repeat(1, 1, 3, 3), teacher.repeat(1, 1, 3, 3), valid.repeat(1, 3, 3), 4.0)
    assert_close(tiled, soft_parts(student, teacher, valid, 4.0))


def test_soft_parts_leaves_invalid_pixels_out() -> None:
    student, teacher = logits(2, 5, 4, 4), logits(2, 5, 4, 4, seed=1).log_softmax(1)
    valid = VALID.clone()
    valid[:, 2:] = False
    changed = student.clone()
    changed[:, :, 2:] += 100 * logits(2, 5, 2, 4, seed=2)
    assert_close(soft_parts(changed, teacher, valid, 4.0), soft_parts(student, teacher, valid, 4.0))


def test_the_size_of_the_gradient_survives_the_temperature() -> None:
    """T² makes up for the 1/T² that a high temperature costs (Hinton et al. 2015)."""
    teacher = (0.01 * logits(2, 5, 4, 4, seed=1)).log_softmax(1)
    norms = []
    for temperature in (4.0, 16.0):
        student = torch.zeros(2, 5, 4, 4, requires_grad=True)
        soft_parts(student, teacher, VALID, temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.01)


def test_hard_parts_is_log_of_the_number_of_parts_for_flat_logits() -> None:
    parts = torch.randint(0, 5, (2, 16, 16))
    assert hard_parts(torch.zeros(2, 5, 4, 4), parts, 255).item() == pytest.approx(math.log(5), rel=1e-6)


def test_hard_parts_without_any_label_is_zero_and_has_no_gradient() -> None:
    student = logits(2, 5, 4, 4).requires_grad_()
    loss = hard_parts(student, torch.full((2, 16, 16), 255), 255)
    loss.backward()
    assert loss.item() == 0 and student.grad is not None and student.grad.abs().max() == 0


def test_soft_jaccard_of_perfect_and_of_wrong_predictions() -> None:
    parts = torch.tensor([[0, 1], [2, 255]])[None]
    right = 50.0 * torch.nn.functional.one_hot(parts.clamp(max=2), 3).movedim(-1, 1).float()
    assert soft_jaccard(right, parts, 255).item() == pytest.approx(0, abs=1e-5)
    assert soft_jaccard(right.roll(1, dims=1), parts, 255).item() == pytest.approx(1, abs=1e-5)


def test_masked_mean_of_nothing_is_zero() -> None:
    assert masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == 0
