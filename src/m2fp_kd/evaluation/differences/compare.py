"""Compare two models pixel by pixel: which errors of the first does the second fix, and which does it add?"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.metrics.boundary import ROWS
from m2fp_kd.evaluation.metrics.evaluate import Scores, scores_of
from m2fp_kd.evaluation.metrics.predictions import Parse, Predictions, predictions
from m2fp_kd.labels import LabelSet

FIXED, BROKEN, WRONG = 1, 2, 3
"""Values of `verdict`; 0 marks pixels that are correct in both or have no label."""


@dataclass(frozen=True)
class PhotoChange:
    """Changes on one photo, as shares of its labelled pixels in 0..1.

    Attributes:
        index: position of the photo in the order of comparison.
        fixed: share of pixels that are wrong before and correct after.
        broken: share of pixels that are correct before and wrong after.
    """

    index: int
    fixed: float
    broken: float

    @property
    def gain(self) -> float:
        """Change of the photo's pixel accuracy, -1..1."""
        return self.fixed - self.broken


@dataclass(frozen=True)
class Differences:
    """Scores of both models over all photos, and every photo's change."""

    before: Scores
    after: Scores
    photos: list[PhotoChange]

    def most_improved(self, count: int) -> list[PhotoChange]:
        """Return the `count` photos with the largest gains, largest first; photos without a gain are left out."""
        return sorted((photo for photo in self.photos if photo.gain > 0), key=lambda photo: -photo.gain)[:count]

    def most_worsened(self, count: int) -> list[PhotoChange]:
        """Return the `count` photos with the largest losses, largest first; photos without a loss are left out."""
        return sorted((photo for photo in self.photos if photo.gain < 0), key=lambda photo: photo.gain)[:count]


def verdict(
    truth: NDArray[np.uint8], before: NDArray[np.uint8], after: NDArray[np.uint8], ignore_index: int = 255
) -> NDArray[np.uint8]:
    """Return `FIXED`, `BROKEN`, `WRONG` (in both) or 0 for every pixel; all maps are uint8 (H, W)."""
    first, second, labelled = before == truth, after == truth, truth != ignore_index
    verdicts = np.zeros_like(truth)
    verdicts[labelled & ~first & second] = FIXED
    verdicts[labelled & first & ~second] = BROKEN
    verdicts[labelled & ~first & ~second] = WRONG
    return verdicts


def differences(before: Parse, after: Parse, photos: Iterable[Photo], labels: LabelSet) -> Differences:
    """Compare two models on labelled photos, at the labels' own size.

    Raises:
        ValueError: there are no labelled pixels, a photo has no label, or a part map has another size.
    """
    counts = np.zeros((2, labels.num_parts, labels.num_parts), np.int64)
    borders = np.zeros((2, ROWS, labels.num_parts), np.int64)
    changes = []
    for index, found in enumerate(predictions(photos, (before, after), labels)):
        counts += [found.confusion(0), found.confusion(1)]
        borders += [found.boundary(0), found.boundary(1)]
        changes.append(_photo_change(index, found))
    if not counts.any():
        raise ValueError("no labelled pixels to compare on; check the data folder and --limit")
    first, second = (scores_of(matrix, labels, border) for matrix, border in zip(counts, borders, strict=True))
    return Differences(first, second, changes)


def _photo_change(index: int, found: Predictions[Photo]) -> PhotoChange:
    truth, ignore_index = found.photo.parts, found.labels.ignore_index
    assert truth is not None
    before, after = found.part_maps
    changed = verdict(truth, before, after, ignore_index)
    labelled = max(1, int(np.count_nonzero(truth != ignore_index)))
    fixed, broken = (np.count_nonzero(changed == kind) / labelled for kind in (FIXED, BROKEN))
    return PhotoChange(index, fixed, broken)
