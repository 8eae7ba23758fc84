"""Per-pixel divergence by hand, and weights by certainty."""

import math

import pytest
import torch
from torch.testing import assert_close

from m2fp_kd.distill.losses.kl import kl, pixel_weights

VALID = torch.ones(2, 4, 4, dtype=torch.bool)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_shift_of_the_logits_does_not_matter() -> None:
    student, teacher = logits(2, 5, 4, 4), logits(2, 5, 4, 4, seed=1).log_softmax(1)
    assert_close(kl(student + 3.0, teacher, VALID, 2.0), kl(student, teacher, VALID, 2.0))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_two_parts_by_hand(temperature: float) -> None:
    teacher = torch.tensor([0.9, 0.1]).log()
    raised = [0.9 ** (1 / temperature), 0.1 ** (1 / temperature)]
    p = [value / sum(raised) for value in raised]
    expected = temperature**2 * sum(value * math.log(value / 0.5) for value in p)
    student = torch.zeros(1, 2, 1, 1)
    got = kl(student, teacher.view(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), temperature)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_the_scale_of_the_gradient_does_not_depend_on_the_temperature() -> None:
    """T² compensates for the factor 1/T² of a high temperature (Hinton et al. 2015)."""
    teacher = (0.01 * logits(2, 5, 4, 4, seed=1)).log_softmax(1)
    norms = []
    for temperature in (4.0, 16.0):
        student = torch.zeros(2, 5, 4, 4, requires_grad=True)
        kl(student, teacher, VALID, temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.01)


def certain(probability: float) -> torch.Tensor:
    """Return one pixel with four parts: the first has this probability, the others share the rest."""
    rest = (1 - probability) / 3
    return torch.tensor([probability, rest, rest, rest]).clamp(min=1e-30).log().view(1, 4, 1, 1)


PIXEL = torch.ones(1, 1, 1, dtype=torch.bool)


KNOWN = 1 + (0.7 * math.log(0.7) + 0.3 * math.log(0.1)) / math.log(4)
"""1 - H / ln 4 if one part has 0.7 and three have 0.1."""


@pytest.mark.parametrize(("probability", "known"), [(0.25, 0.0), (1.0, 1.0), (0.7, KNOWN)])
def test_certainty_by_hand(probability: float, known: float) -> None:
    log_parts = certain(probability)
    assert pixel_weights(log_parts, PIXEL, "entropy").item() == pytest.approx(known, abs=1e-6)
    assert pixel_weights(log_parts, PIXEL, "probability").item() == pytest.approx(probability, rel=1e-6)
    assert pixel_weights(log_parts, PIXEL, None) is PIXEL


@pytest.mark.parametrize("confidence", ["entropy", "probability"])
def test_pixels_outside_the_photo_have_weight_zero(confidence: str) -> None:
    valid = VALID.clone()
    valid[0, 1:] = False
    weights = pixel_weights(logits(2, 5, 4, 4).log_softmax(1), valid, confidence)  # type: ignore[arg-type]
    assert torch.equal(weights > 0, valid)


def test_uncertain_pixels_of_the_teacher_count_less() -> None:
    """The first of two pixels, with weights 1 and nearly 0, determines the loss."""
    log_parts = torch.cat([certain(1.0), certain(0.25)], dim=3)
    student = logits(1, 4, 1, 2)
    valid = torch.ones(1, 1, 2, dtype=torch.bool)
    weighted = kl(student, log_parts, pixel_weights(log_parts, valid, "entropy"), 1.0)
    assert_close(weighted, kl(student[..., :1], log_parts[..., :1], PIXEL, 1.0), atol=1e-5, rtol=1e-5)
