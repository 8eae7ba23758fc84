"""Cells of a canvas, each between four of its pixels, and the part logits at the pixels of a photo within them.

A part's logit anywhere in a cell is an average of those at its corners, with the same weights for every part. So its
smallest and largest corner bound it, and parts that stay far below another one need no interpolation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.resize import Taps, bilinear

VALUES_AT_ONCE = 1 << 18
"""Interpolated logits in memory at a time, few enough to stay in the CPU's cache."""

PixelValue = Callable[[np.ndarray, Iterator[np.ndarray]], np.ndarray]
"""Function from M candidate parts of n cells, uint8 (M, n), and the M planes of their logits at the pixels, float32
(K, L, n) each, to the values of these pixels, uint8 (K, L, n)."""


@dataclass(frozen=True)
class Blocks:
    """Blocks of a photo's pixels along one axis; those of a block lie between the same two pixels of the canvas.

    Attributes:
        corner: int (2, B), the two pixels of the canvas.
        sample: int (2, 2, B), the two samples of the logits from which each of them is interpolated.
        share: float32 (2, 2, B), weights of these samples.
        pixel: int (K, B), pixels of the photo; blocks of fewer than K repeat their last one.
        weight: float32 (K, B), weight of the second pixel of the canvas.
    """

    corner: np.ndarray
    sample: np.ndarray
    share: np.ndarray
    pixel: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, to_canvas: Taps, to_photo: Taps) -> "Blocks":
        below, size = to_photo.index[:, 0], len(to_photo.index)
        begins = np.flatnonzero(np.diff(below, prepend=-1))
        place = np.arange(size) - np.repeat(begins, np.diff(begins, append=size))
        # Pixels beyond the outermost centres of the canvas join the first block, which is then split.
        longest = -(-size // (int(below[-1]) + 1))
        first = np.flatnonzero(place % longest == 0)
        pixel = first + np.minimum(np.arange(longest)[:, None], np.diff(first, append=size) - 1)
        corner = to_photo.index[first].T
        sample, share = (np.moveaxis(values[corner], 2, 1) for values in (to_canvas.index, to_canvas.weight))
        return cls(corner, sample, share, pixel, to_photo.weight[pixel, 1])

    def __getitem__(self, chosen: np.ndarray) -> "Blocks":
        """Return the chosen blocks."""
        return Blocks(*(np.take(values, chosen, axis=-1) for values in vars(self).values()))


@lru_cache(4)
def cells_of(grid: tuple[int, ...], placement: Placement) -> tuple["Blocks", "Blocks"]:
    """Return the rows and the columns of cells of a photo's content, for logits on a `grid` (h, w) over the canvas."""
    rows, columns = (
        Blocks.of(bilinear(samples, canvas), bilinear(content, source))
        for samples, canvas, content, source in zip(
            grid, placement.canvas, placement.content, placement.source, strict=True
        )
    )
    return rows, columns


def fill_cells(
    found: np.ndarray,
    chosen: np.ndarray,
    logits: np.ndarray,
    cells: tuple["Blocks", "Blocks"],
    value: PixelValue,
    margin: float = 0.0,
) -> None:
    """Interpolate logits in chosen cells and write the value of every pixel there into a photo.

    Args:
        found: uint8 (H, W), written to.
        chosen: bool (M, N), over rows and columns of cells.
        logits: float32 (P, h, w), at stride 4 of the canvas, contiguous.
        cells: rows and columns, as `cells_of` gives them.
        value: function of a pixel's candidate parts and their logits.
        margin: a part that is below another one by more than this everywhere in a cell is no candidate there.
    """
    rows, columns = cells
    row, column = np.divmod(np.flatnonzero(chosen), chosen.shape[1])  # ten times faster than `nonzero`
    at_once = max(1, VALUES_AT_ONCE // max(4 * len(logits), len(rows.pixel) * len(columns.pixel)))
    for start in range(0, len(row), at_once):
        some = slice(start, start + at_once)
        for down, along, values in _filled(logits, rows[row[some]], columns[column[some]], value, margin):
            found.ravel()[down[:, None] * found.shape[1] + along] = values


def _filled(
    logits: np.ndarray, rows: "Blocks", columns: "Blocks", value: PixelValue, margin: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Interpolate N cells; yield rows (K, n), columns (L, n) and values, uint8 (K, L, n), of n at a time."""
    corners = _corners(logits, rows, columns)
    # Everywhere in a cell, the largest part has at least the largest of the parts' smallest corners. A part whose
    # largest corner is below that is the largest nowhere.
    candidate = ~(corners.max(axis=0) < corners.min(axis=0).max(axis=0) - margin)  # with NaN, every part
    number = np.count_nonzero(candidate, axis=0)
    for many in np.flatnonzero(np.bincount(number)):
        chosen = np.flatnonzero(number == many)
        at_once = max(1, VALUES_AT_ONCE // (int(many) * len(rows.pixel) * len(columns.pixel)))
        for start in range(0, len(chosen), at_once):
            cells = chosen[start : start + at_once]
            parts = np.flatnonzero(candidate.T[cells]).reshape(-1, many).T % len(logits)
            parts = parts.astype(np.uint8)
            down, along = rows[cells], columns[cells]
            planes = (_between(corners[:, part, cells], down.weight, along.weight) for part in parts)
            yield down.pixel, along.pixel, value(parts, planes)


def _corners(logits: np.ndarray, rows: Blocks, columns: Blocks) -> np.ndarray:
    """Interpolate the logits at the four pixels of the canvas around each of N cells: float32 (4, P, N)."""
    planes, width = logits.reshape(len(logits), -1), logits.shape[2]
    corners = np.zeros((2, 2, len(planes), rows.corner.shape[1]), np.float32)
    for low, right, down, along in np.ndindex(2, 2, 2, 2):
        term = np.take(planes, rows.sample[low, down] * width + columns.sample[right, along], axis=1)
        term *= rows.share[low, down] * columns.share[right, along]
        corners[low, right] += term
    return corners.reshape(4, *corners.shape[2:])


def _between(corners: np.ndarray, down: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Interpolate between the corners, float32 (4, N), of N cells.

    Args:
        corners: top left, top right, bottom left, bottom right.
        down: weights of the bottom ones, float32 (K, N).
        along: weights of the right ones, float32 (L, N).

    Returns:
        float32 (K, L, N).
    """
    left, right = (corners[side] * (1 - down) + corners[side + 2] * down for side in (0, 1))
    values = left[:, None] * (1 - along)
    values += right[:, None] * along
    return values
