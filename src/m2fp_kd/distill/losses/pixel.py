"""Cross-entropy of a linear classifier on the mask features."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from m2fp_kd.distill.losses.ce import ce
from m2fp_kd.distill.losses.term import Term, given
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class Pixel(Term):
    """Cross-entropy of a linear classifier on the mask features, a short gradient path early in training.

    The classifier trains with the objective and is not saved with the network.
    """

    needs = frozenset({"student.features"})

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.num_parts = labels.num_parts
        self.ignore_index = labels.ignore_index
        self.classifier: nn.Module = nn.Identity()

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        self.classifier = nn.Conv2d(student_channels, self.num_parts, kernel_size=1)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return ce(self.classifier(given(output.features)), batch["parts"], self.ignore_index)
