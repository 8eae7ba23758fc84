"""What one model gets right that another gets wrong, pixel by pixel."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.metrics.evaluate import Scores, scores_of
from m2fp_kd.evaluation.metrics.predictions import Parse, Predictions, predictions
from m2fp_kd.labels import LabelSet

MENDED, BROKEN, WRONG = 1, 2, 3
"""Values of `verdict`; 0 is a pixel that both get right or that has no label."""


@dataclass(frozen=True)
class PhotoChange:
    """What changed on one photo, as shares of its labelled pixels in 0..1.

    Attributes:
        index: of the photo, in the order they were compared.
        mended: wrong before, right after.
        broken: right before, wrong after.
    """

    index: int
    mended: float
    broken: float

    @property
    def gain(self) -> float:
        """Change of the photo's pixel accuracy, -1..1."""
        return self.mended - self.broken


@dataclass(frozen=True)
class Differences:
    """Scores of both models over all photos, and every photo's change."""

    before: Scores
    after: Scores
    photos: list[PhotoChange]

    def most_mended(self, count: int) -> list[PhotoChange]:
        """The photos that gained most, best first; none that lost."""
        return sorted((photo for photo in self.photos if photo.gain > 0), key=lambda photo: -photo.gain)[:count]

    def most_broken(self, count: int) -> list[PhotoChange]:
        """The photos that lost most, worst first; none that gained."""
        return sorted((photo for photo in self.photos if photo.gain < 0), key=lambda photo: photo.gain)[:count]


def verdict(
    truth: NDArray[np.uint8], before: NDArray[np.uint8], after: NDArray[np.uint8], ignore_index: int = 255
) -> NDArray[np.uint8]:
    """Per pixel: `MENDED`, `BROKEN`, `WRONG` (both are), or 0; all maps uint8 (H, W)."""
    was_right, is_right, known = before == truth, after == truth, truth != ignore_index
    found = np.zeros_like(truth)
    found[known & ~was_right & is_right] = MENDED
    found[known & was_right & ~is_right] = BROKEN
    found[known & ~was_right & ~is_right] = WRONG
    return found


def differences(before: Parse, after: Parse, photos: Iterable[Photo], labels: LabelSet) -> Differences:
    """Compare two models on labelled photos, at the labels' own size.

    Raises:
        ValueError: no photos, one without a label, or a part map of another size.
    """
    counts = np.zeros((2, labels.num_parts, labels.num_parts), np.int64)
    changes = []
    for index, found in enumerate(predictions(photos, (before, after), labels)):
        counts += [found.confusion(0), found.confusion(1)]
        changes.append(_photo_change(index, found))
    if not counts.any():
        raise ValueError("no labelled pixels to compare on; check the data folder and --limit")
    return Differences(scores_of(counts[0], labels), scores_of(counts[1], labels), changes)


def _photo_change(index: int, found: Predictions[Photo]) -> PhotoChange:
    truth, ignore_index = found.photo.parts, found.labels.ignore_index
    assert truth is not None
    before, after = found.part_maps
    changed = verdict(truth, before, after, ignore_index)
    labelled = max(1, int(np.count_nonzero(truth != ignore_index)))
    mended, broken = (np.count_nonzero(changed == kind) / labelled for kind in (MENDED, BROKEN))
    return PhotoChange(index, mended, broken)
