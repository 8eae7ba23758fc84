"""Channel-wise distillation: the distribution of each part over the pixels."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.term import TeacherTerm, above_zero
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput

_NOWHERE = -1e4  # its softmax is 0, and it stays finite in a photo without any valid pixel


def cwd(part_logits: Tensor, log_parts: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """KL between the teacher's and the student's distribution of each part over the pixels, times T².

    Shu et al. 2021, "Channel-wise Knowledge Distillation for Dense Prediction", section 3.2: with
    phi(y_c)_i = exp(y_ci / T) / sum_j exp(y_cj / T) over the pixels of one channel, the loss is
    T² / C * sum_c sum_i phi(teacher_c)_i * ln(phi(teacher_c)_i / phi(student_c)_i), averaged over the photos.

    A mask-classification teacher gives the logarithm of its distribution instead of logits, so the student's logits are
    normalised over the parts as well. Otherwise a shift of all logits of a pixel would count, which changes no
    prediction.

    Args:
        part_logits: student, ``(B, P, h, w)``.
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``; pixels outside the photo are excluded from a channel's distribution.
        temperature: > 0.

    Returns:
        A scalar >= 0, averaged over the photos with a valid pixel.
    """
    outside = ~valid[:, None]

    def over_pixels(logarithms: Tensor) -> Tensor:
        return (logarithms / temperature).masked_fill(outside, _NOWHERE).flatten(2).log_softmax(dim=2)

    student = over_pixels(F.log_softmax(part_logits.float(), dim=1))
    teacher = over_pixels(F.log_softmax(log_parts.detach().float(), dim=1))
    divergence = (teacher.exp() * (teacher - student)).sum(dim=2).mean(dim=1)
    return temperature**2 * masked_mean(divergence, valid.flatten(1).any(dim=1))


class Cwd(TeacherTerm):
    """Channel-wise distillation; see `cwd`."""

    needs = frozenset({"log_parts"})

    def __init__(self, labels: LabelSet, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = above_zero(temperature)

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        return cwd(output.part_logits, target.log_parts, target.valid, self.temperature)
