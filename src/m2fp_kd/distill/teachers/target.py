"""The target that a teacher gives to a student."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from m2fp_kd.models.outputs import M2FPOutput


@dataclass
class TeacherTarget:
    """A teacher's answer for a batch, on the student's stride-4 grid.

    Attributes:
        log_parts: log-probabilities of the parts ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``, false outside the photo.
        queries: query outputs of the teacher, masks ``(B, R, h, w)``; None if it gives none, like a cache.
        features: mask features of the teacher ``(B, D, h, w)``; None if it gives none.
    """

    log_parts: Tensor
    valid: Tensor
    queries: M2FPOutput | None = None
    features: Tensor | None = None


class TargetSource(Protocol):
    """Interface of a source of targets: a live network, a cache, or a class of your own.

    It is not an ``nn.Module``: a teacher stays outside the student's ``state_dict``, DDP and checkpoints.
    """

    @property
    def gives(self) -> frozenset[str]:
        """Names of the fields of `TeacherTarget` that the source fills, ``log_parts`` among them."""

    @property
    def channels(self) -> int | None:
        """Number of channels of its features; None without features."""

    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        """Return the target of a batch: ``images`` are RGB 0..255 ``(B, 3, H, W)``, ``valid`` marks the photo."""
