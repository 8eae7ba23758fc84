"""Teachers that the sources of a mix have for themselves, each in the labels of its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.sources import LiveTeacher

FIELD = "source_log_parts"
"""Name of the targets in a batch, and among the needs of a term."""


@dataclass
class SourceTarget:
    """Answer of a source's own teacher.

    Attributes:
        photos: positions of the source's photos in the batch.
        log_parts: log-probabilities of the source's labels (N, L, h, w), on the student's stride-4 grid.
    """

    photos: list[int]
    log_parts: Tensor


class SourceTeachers:
    """Run each source's own frozen teacher on the photos of that source.

    Args:
        models: source name -> teacher, whose bridge, if any, leads to the labels of the source.
    """

    def __init__(self, models: Mapping[str, PartModel]) -> None:
        self.models = dict(models)
        self.teachers = {name: LiveTeacher([model]) for name, model in models.items()}

    def __call__(self, batch: Mapping[str, Any]) -> list[SourceTarget]:
        """Return the answers for a batch of a mix, for the sources that have a teacher and photos in it."""
        targets = []
        for name, teacher in self.teachers.items():
            if photos := [index for index, source in enumerate(batch["sources"]) if source == name]:
                own = {"images": batch["images"][photos], "valid": batch["valid"][photos]}
                targets.append(SourceTarget(photos, teacher(own).log_parts))
        return targets
