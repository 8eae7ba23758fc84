"""What a student learns from, whichever teacher gives it."""

from dataclasses import dataclass

from torch import Tensor

from m2fp_kd.models.outputs import M2FPOutput


@dataclass
class TeacherTarget:
    """A teacher's answer for a batch, on the student's stride-4 grid.

    Attributes:
        log_parts: log-probabilities of the parts ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``, false outside the photo.
        queries: the teacher's query outputs, masks ``(B, R, h, w)``; None if it gives none (a cache does not).
        features: the teacher's mask features ``(B, D, h, w)``; None if it gives none.
    """

    log_parts: Tensor
    valid: Tensor
    queries: M2FPOutput | None = None
    features: Tensor | None = None
