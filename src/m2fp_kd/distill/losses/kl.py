"""Per-pixel divergence from the teacher's part distribution, and weights by the teacher's certainty."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.term import TeacherTerm, above_zero
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput

Confidence = Literal["entropy", "probability"]
"""Measure of a teacher's certainty."""


def kl(part_logits: Tensor, log_parts: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the student's part distribution from the teacher's, pixel mean times T².

    Args:
        part_logits: student, ``(B, P, h, w)``.
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        weights: weights of the pixels in the mean, ``(B, h, w)``: bool, or floats >= 0; 0 outside the photo.
        temperature: > 0.
    """
    return masked_mean(divergence(part_logits, log_parts, temperature), weights)


def divergence(part_logits: Tensor, log_parts: Tensor, temperature: float) -> Tensor:
    """Return T² KL(teacher || student) of every pixel, ``(B, h, w)``, >= 0.

    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2, applied to each pixel. T² keeps the
    scale of the gradient when the temperature changes. The teacher's ``log_parts / T``, renormalised, is its
    distribution at temperature T, since a distribution is the softmax of its own logarithm.
    """
    student = F.log_softmax(part_logits.float() / temperature, dim=1)
    teacher = F.log_softmax(log_parts.detach().float() / temperature, dim=1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=1)


def pixel_weights(log_parts: Tensor, valid: Tensor, confidence: Confidence | None) -> Tensor:
    """Return the weights of pixels: the teacher's certainty, or 1 with ``confidence=None``; 0 outside the photo.

    Args:
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``.
        confidence: "entropy" for 1 - H(p) / ln P, "probability" for max p (within 1/P..1), None for equal weights.
    """
    if confidence is None:
        return valid
    with torch.no_grad():
        log_parts = log_parts.float()
        if confidence == "probability":
            return valid * log_parts.amax(dim=1).exp()
        entropy = -(log_parts.exp() * log_parts).sum(dim=1)
        return valid * (1 - entropy / math.log(log_parts.shape[1])).clamp(min=0)


class Kl(TeacherTerm):
    """Per-pixel KL to the teacher's part distribution, optionally weighted by its certainty; see `kl`."""

    needs = frozenset({"log_parts"})

    def __init__(self, labels: LabelSet, temperature: float = 4.0, confidence: Confidence | None = None) -> None:
        super().__init__()
        self.temperature = above_zero(temperature)
        self.confidence = known_confidence(confidence)

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        weights = pixel_weights(target.log_parts, target.valid, self.confidence)
        return kl(output.part_logits, target.log_parts, weights, self.temperature)


def known_confidence(confidence: Confidence | None) -> Confidence | None:
    """Return ``confidence``; raise ValueError unless it is a `Confidence` or None."""
    if confidence not in (None, *get_args(Confidence)):
        raise ValueError(f"confidence={confidence} must be null, {' or '.join(get_args(Confidence))}")
    return confidence
