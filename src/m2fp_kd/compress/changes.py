"""Changes of the scores across a hop, counted against one truth: the student's labels, or those of a source."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from m2fp_kd.compress.options import Gate
from m2fp_kd.evaluation.metrics.boundary import ROWS, mean_boundary_iou
from m2fp_kd.evaluation.metrics.jackknife import GROUPS, Change, score_change
from m2fp_kd.evaluation.metrics.miou import Confusion, iou, miou
from m2fp_kd.evaluation.metrics.predictions import Predictions
from m2fp_kd.labels import PartSets


class Counts:
    """Pixels of the model before a hop and of the one after it, against labels, by groups of photos.

    Args:
        table: table of the labels.

    Attributes:
        matrices: confusion matrices, int64 (2, G, L, L).
        borders: counts at borders, int64 (2, G, 7, L).
        photos: number of photos.
    """

    def __init__(self, table: PartSets) -> None:
        size = table.source.num_parts
        self.table = table
        self.matrices = np.zeros((2, GROUPS, size, size), np.int64)
        self.borders = np.zeros((2, GROUPS, ROWS, size), np.int64)
        self.photos = 0

    def add(self, found: Predictions) -> None:
        """Add a photo with the part maps of both models, all in the table's labels."""
        group = self.photos % GROUPS
        for model in (0, 1):
            self.matrices[model, group] += found.confusion(model)
            self.borders[model, group] += found.boundary(model)
        self.photos += 1


@dataclass(frozen=True)
class Changes:
    """Changes across a hop; shares (0..1).

    Attributes:
        miou: change of mIoU; None where the model before is the truth.
        boundary: change of mean boundary IoU; None with it.
        before: mIoU before the hop; None with it.
        after: mIoU after the hop; None with it.
        worst_part: label whose IoU fell most; None where no label has an IoU.
        worst_part_change: change of its IoU.
    """

    miou: Change | None
    boundary: Change | None
    before: float | None
    after: float | None
    worst_part: str | None
    worst_part_change: float | None

    @classmethod
    def of(cls, counts: Counts) -> Self | None:
        """Return the changes that counts show; None if they hold no pixel with a label that has an IoU."""
        scored = counts.table.scored
        (matrices, later), borders = counts.matrices, counts.borders
        before, after = matrices.sum(axis=0), later.sum(axis=0)
        scores = miou(before, scored), miou(after, scored)
        if np.isnan(scores).any():
            return None
        change = score_change(matrices, later, partial(miou, parts=scored))
        at_borders = score_change(borders[0], borders[1], partial(mean_boundary_iou, parts=scored))
        return cls(change, at_borders, *scores, *_worst(before, after, counts.table))

    @classmethod
    def between(cls, matrix: Confusion, table: PartSets) -> Self:
        """Return the changes that the model after shows against the model before, (P, P), which is the truth."""
        return cls(None, None, None, None, *_worst(np.diag(matrix.sum(axis=1)), matrix, table))

    def broken(self, gate: Gate) -> list[str]:
        """Return the names of a gate's limits that do not hold; without a score, its limit holds."""
        lost = {
            "max_miou_drop": None if self.miou is None else self.miou.most_lost,
            "max_part_drop": None if self.worst_part_change is None else -self.worst_part_change,
            "max_boundary_drop": None if self.boundary is None else self.boundary.most_lost,
        }
        known = {name: 100 * loss for name, loss in lost.items() if loss is not None}
        return [name for name, limit in gate.thresholds.items() if name in known and not known[name] <= limit]

    @property
    def fields(self) -> dict[str, Any]:
        """The changes as fields of a `Hop` or a `SourceChange`."""
        return {
            "miou_before": self.before,
            "miou_after": self.after,
            "miou_change": self.miou.value if self.miou else None,
            "miou_error": self.miou.error if self.miou else None,
            "boundary_change": self.boundary.value if self.boundary else None,
            "boundary_error": self.boundary.error if self.boundary else None,
            "worst_part": self.worst_part,
            "worst_part_change": self.worst_part_change,
        }


def _worst(before: Confusion, after: Confusion, table: PartSets) -> tuple[str | None, float | None]:
    """Return the scored label whose IoU fell most, and its change.

    A label in neither truth nor prediction on one side has no IoU there, hence no change.
    """
    changes = np.full(table.source.num_parts, np.nan)
    changes[table.scored] = (iou(after) - iou(before))[table.scored]
    if np.isnan(changes).all():
        return None, None
    worst = int(np.nanargmin(changes))
    return table.source.parts[worst], float(changes[worst])
