"""The interface of a loss: a module that declares which fields it reads."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.models.outputs import StudentOutput

T = TypeVar("T")


class Term(nn.Module):
    """One term of the objective.

    ``needs`` names the fields that the term reads: fields of the teacher's target (``log_parts``, ``queries``,
    ``features``) and, prefixed with ``student.``, fields of the student's output (``student.queries``,
    ``student.features``). The objective checks it before training, so ``forward`` may rely on those fields.

    ``any_labels`` tells that the term can meet the photos of a mix, whose ``parts`` are labels of their source: it
    reads no labels, or reads them through the batch's ``sets`` (see `part_sets`).
    """

    needs: frozenset[str] = frozenset()
    any_labels: bool = False

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        """Build the layers whose size depends on the feature channels of student and teacher; called once."""

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        raise NotImplementedError


class TeacherTerm(Term):
    """A term that compares the student with a teacher: implement ``compare``, whose target is never None."""

    any_labels = True

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        if target is None:
            raise ValueError(f"{type(self).__name__} compares the student with a teacher; pass the teacher's target")
        return self.compare(output, batch, target)

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        """Return the scalar loss of ``output`` against ``target``."""
        raise NotImplementedError


def given(value: T | None) -> T:
    """Return a field whose presence `Objective.check` has verified; raise ValueError if it is None."""
    if value is None:
        raise ValueError("a term reads a field that is None; name the field in the term's `needs`")
    return value


def above_zero(temperature: float) -> float:
    """Return ``temperature``; raise ValueError unless it is positive."""
    if temperature <= 0:
        raise ValueError(f"distill.temperature must be above 0, not {temperature}")
    return temperature
