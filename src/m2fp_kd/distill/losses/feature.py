"""Distillation of the teacher's features (hints)."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.distill.losses.dist import pixel_correlation
from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.processes import sum_of_processes
from m2fp_kd.distill.losses.term import TeacherTerm, given
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput

Along = Literal["pixel", "channel"]
"""Axis along which features are normalised."""


def feature(student: Tensor, teacher: Tensor, valid: Tensor, along: Along = "pixel") -> Tensor:
    """Return the distance of normalised features; the student's are projected to the teacher's channels.

    Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", section 2.2, with features normalised first, so that their
    size does not matter: along "pixel", 1 - cosine of the two vectors of a pixel (half the squared distance of the unit
    vectors); along "channel", 1 - Pearson's correlation of the two maps of a channel over all valid pixels of the
    batch, half the squared distance of the standardised maps (Cao et al. 2022, "PKD: General Distillation Framework for
    Object Detectors via Pearson Correlation Coefficient", section 3.2).

    Args:
        student: ``(B, D, h, w)``.
        teacher: ``(B, D, h, w)``.
        valid: bool ``(B, h, w)``; pixels outside the photo are left out.
        along: "pixel" or "channel".

    Returns:
        A scalar within 0..2, a mean over pixels or channels; 0 if no pixel is valid.
    """
    student, teacher = student.float(), teacher.detach().float()
    if along == "pixel":
        return masked_mean(1 - F.cosine_similarity(student, teacher, dim=1, eps=1e-4), valid)
    ours, theirs = (features.movedim(1, 0).flatten(1) for features in (student, teacher))
    return (1 - pixel_correlation(ours, theirs, valid.flatten())).mean() * (sum_of_processes(valid.sum()) > 0)


class Feature(TeacherTerm):
    """Distance of the student's stride-4 features to the teacher's mask features; see `feature`.

    The 1x1 projection between them trains with the objective and is not saved with the network.
    """

    needs = frozenset({"features", "student.features"})

    def __init__(self, labels: LabelSet, along: Along = "pixel") -> None:
        super().__init__()
        if along not in get_args(Along):
            raise ValueError(f"along={along} is not one of {', '.join(get_args(Along))}")
        self.along: Along = along
        self.projection: nn.Module = nn.Identity()

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        self.projection = nn.Conv2d(student_channels, given(teacher_channels), kernel_size=1)

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        return feature(self.projection(given(output.features)), given(target.features), target.valid, self.along)
