"""Find cuts: frames that begin another scene."""

from itertools import product

import numpy as np
from PIL import Image

from m2fp_kd.runtime.placed import Placed

GRID = 16
"""Cells along each side of the thumbnails that are compared."""

SHIFT = 2
"""Cells by which a thumbnail is moved at most in search of the last one, so that a pan is no cut."""

SAME_SCENE = 0.7
"""Correlation of two frames of a scene, at the best shift. Between two photos of different scenes it is below in 99 %
of pairs, and between a photo and itself, moved by up to 6 % of its width or enlarged by 8 %, above in 99 %."""

CHANGED_SHARE = 0.25
"""Share of the cells that a cut changes at least, so that a person who walks before an even wall is no cut."""

CHANGED_LEVELS = 8
"""Difference, in grey levels of the cell's mean colour, from which a cell has changed."""

NOISE = 1.0
"""Variance in squared grey levels that is added to both thumbnails, so that even ones have a correlation."""


class Cuts:
    """Compares each frame with the one before it.

    Both are reduced to thumbnails of 16 x 16 mean colours. A frame begins another scene where the thumbnails do not
    correlate at any shift of up to two cells, and many cells have changed. Brightness and contrast do not matter to a
    correlation, so a flash is no cut.
    """

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def __call__(self, placed: Placed) -> bool:
        """Return whether a frame on its canvas begins another scene than the frame of the last call."""
        rows, columns = placed.placement.content
        content = Image.fromarray(placed.canvas[:rows, :columns])
        thumbnail = np.asarray(content.resize((GRID, GRID), Image.Resampling.BOX)).astype(np.float32)
        last, self._last = self._last, thumbnail
        if last is None:
            return False
        changed = np.abs(thumbnail - last).max(axis=2) > CHANGED_LEVELS
        return bool(changed.mean() > CHANGED_SHARE) and similarity(last, thumbnail) < SAME_SCENE


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two thumbnails (N, N, 3) at the shift where it is largest, -1..1."""
    shifts = product(range(-SHIFT, SHIFT + 1), repeat=2)
    return max(_correlation(_cropped(one, *shift), _cropped(other, *(-n for n in shift))) for shift in shifts)


def _cropped(thumbnail: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return what remains of a thumbnail that is moved up and left: rows from `down`, columns from `right`."""
    size = len(thumbnail)
    return thumbnail[max(0, down) : size + min(0, down), max(0, right) : size + min(0, right)]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    one, other = (values - values.mean(axis=(0, 1)) for values in (one, other))
    noise = NOISE * one.size
    both, first, second = ((a * b).sum() + noise for a, b in ((one, other), (one, one), (other, other)))
    return float(both / np.sqrt(first * second))
