"""Distillation of relations: the student matches the teacher's ranking and proportions, not its values."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.processes import sum_of_processes
from m2fp_kd.distill.losses.term import TeacherTerm, above_zero
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput

_VARIANCE = 1e-8  # added to variances: near-constant values get correlation 0 and a bounded gradient


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation along the last axis of two ``(..., N)``, within -1..1; 0 if either is constant."""
    first, second = (values - values.mean(dim=-1, keepdim=True) for values in (first, second))
    return _correlation(*((one * other).mean(dim=-1) for one, other in _pairs(first, second)))


def pixel_correlation(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Return Pearson's correlation of maps over the pixels of a batch: ``(C,)`` within -1..1, 0 for constant maps.

    In a distributed training the pixels are those of all processes.

    Args:
        first: ``(C, N)``.
        second: ``(C, N)``.
        weights: weights of the pixels, ``(N,)``, bool or floats >= 0. If all are 0, so is the correlation.
    """
    weights = weights.to(first.dtype)
    shares = weights / sum_of_processes(weights.sum()).clamp(min=torch.finfo(first.dtype).tiny)
    # A mean is a constant in the gradient: through it, the gradients of all pixels add up to 0.
    means = sum_of_processes(torch.stack([(values * shares).sum(dim=-1) for values in (first, second)])).detach()
    first, second = first - means[0][:, None], second - means[1][:, None]
    return _correlation(
        *sum_of_processes(torch.stack([(one * other * shares).sum(dim=-1) for one, other in _pairs(first, second)]))
    )


def _pairs(first: Tensor, second: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(first, first), (second, second), (first, second)]


def _correlation(variance: Tensor, other_variance: Tensor, covariance: Tensor) -> Tensor:
    return covariance / ((variance + _VARIANCE) * (other_variance + _VARIANCE)).sqrt()


def dist(
    part_logits: Tensor,
    log_parts: Tensor,
    valid: Tensor,
    temperature: float = 1.0,
    between_weight: float = 1.0,
    within_weight: float = 1.0,
) -> Tensor:
    """1 - Pearson's correlation with the teacher between the parts of a pixel, and within a part between the pixels.

    Huang et al. 2022, "Knowledge Distillation from A Stronger Teacher" (DIST), section 4, with every valid pixel as an
    instance: beta * mean_i (1 - r(student_i, teacher_i)) + gamma * mean_c (1 - r(student_:c, teacher_:c)), r over the
    probabilities at temperature T. The second mean leaves out parts that are nowhere the teacher's most probable one:
    their remaining probabilities are noise.

    Args:
        part_logits: student, ``(B, P, h, w)``.
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``; pixels outside the photo are left out.
        temperature: > 0.
        between_weight: beta, weight of the relations between parts ("inter-class").
        within_weight: gamma, weight of the relations within a part ("intra-class").

    Returns:
        A scalar within 0..2 times the sum of the weights; 0 if no pixel is valid.
    """
    # Pixels outside get weight 0 instead of being removed: a selection's size would make the GPU synchronise.
    student = F.softmax(part_logits.float() / temperature, dim=1).movedim(1, -1)
    teacher = F.softmax(log_parts.detach().float() / temperature, dim=1).movedim(1, -1)
    between = masked_mean(1 - correlation(student, teacher), valid)
    most_probable = F.one_hot(teacher.argmax(dim=-1), teacher.shape[-1]).bool() & valid[..., None]
    of_parts = pixel_correlation(student.flatten(0, 2).T, teacher.flatten(0, 2).T, valid.flatten())
    within = masked_mean(1 - of_parts, sum_of_processes(most_probable.flatten(0, 2).sum(dim=0)) > 0)
    return between_weight * between + within_weight * within


class Dist(TeacherTerm):
    """DIST: correlation with the teacher between and within parts; see `dist`."""

    needs = frozenset({"log_parts"})

    def __init__(
        self, labels: LabelSet, temperature: float = 1.0, between_weight: float = 1.0, within_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.settings = above_zero(temperature), between_weight, within_weight

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        return dist(output.part_logits, target.log_parts, target.valid, *self.settings)
