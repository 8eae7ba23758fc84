"""Channel-wise distillation against a plain loop, and its invariance."""

import numpy as np
import pytest
import torch

from m2fp_kd.distill.losses.cwd import cwd


def slow(student: np.ndarray, teacher: np.ndarray, valid: np.ndarray, temperature: float) -> float:
    """Compute the paper's formula, photo by photo and part by part, over a list of valid pixels."""
    losses = []
    for ours, theirs, inside in zip(student, teacher, valid, strict=True):
        pixels = [(y, x) for y in range(inside.shape[0]) for x in range(inside.shape[1]) if inside[y, x]]
        if not pixels:
            continue
        total = 0.0
        for part in range(len(ours)):
            q = np.array([ours[part, y, x] - np.log(np.exp(ours[:, y, x]).sum()) for y, x in pixels])
            p = np.array([theirs[part, y, x] for y, x in pixels])
            p, q = (np.exp(values / temperature) / np.exp(values / temperature).sum() for values in (p, q))
            total += sum(p * np.log(p / q))
        losses.append(temperature**2 * total / len(ours))
    return float(np.mean(losses))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_equals_that_of_a_plain_loop(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 5, 4, 6), torch.randn(3, 5, 4, 6).mul(2).log_softmax(1)
    valid = torch.rand(3, 4, 6) > 0.3
    valid[1] = False
    expected = slow(student.double().numpy(), teacher.double().numpy(), valid.numpy(), temperature)
    assert cwd(student, teacher, valid, temperature).item() == pytest.approx(expected, rel=1e-4)


def test_one_part_in_one_of_two_pixels_by_hand() -> None:
    """The teacher's odds are 4 to 1, the student's 1 to 1: 0.8 ln 1.6 + 0.2 ln 0.4 for both parts."""
    teacher = torch.tensor([[[0.8, 0.2]], [[0.2, 0.8]]]).log()[None]
    loss = cwd(torch.zeros(1, 2, 1, 2), teacher, torch.ones(1, 1, 2, dtype=torch.bool), 1.0)
    assert loss.item() == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4), rel=1e-5)


def test_a_shift_of_a_pixels_logits_does_not_matter() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4).log_softmax(1)
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    shifted = student + torch.randn(1, 1, 4, 4)
    torch.testing.assert_close(cwd(shifted, teacher, valid, 2.0), cwd(student, teacher, valid, 2.0))
