"""Compute part maps from part logits at stride 4, for a canvas or a photo, interpolating only where parts meet.

Bilinear values between four samples are averages of them, with the same weights for every part. So a part that is the
largest in all four samples is the largest everywhere between them, and only the other cells, those at borders between
parts, need interpolation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Placement
from m2fp_kd.runtime.resize import Taps, bilinear

_FRACTIONS = (np.arange(OUTPUT_STRIDE, dtype=np.float32) + 0.5) / OUTPUT_STRIDE
_SIDES = np.stack([1 - _FRACTIONS, _FRACTIONS], axis=1)

WEIGHTS = np.kron(_SIDES, _SIDES)
"""Bilinear weights of a cell's four corners for each of its 16 pixels, (16, 4), both row by row."""

VALUES_AT_ONCE = 1 << 18
"""Interpolated logits in memory at a time, few enough to stay in the CPU's cache."""


def part_map(logits: np.ndarray, placement: Placement) -> np.ndarray:
    """Return the part with the largest logit at every pixel of a photo, after the two resizes that M2FP does.

    Both are bilinear (`align_corners=False`) without antialiasing: the logits to the canvas, then the photo's content
    on the canvas to the photo. The result is `restore_dense(logits, placement).argmax(axis=0)`, except for rounding
    where two parts are nearly equal.

    Args:
        logits: float32 (P, h, w), at stride 4 of the canvas.
        placement: place of the photo on the canvas.

    Returns:
        uint8 (H, W), at the photo's own size.

    Raises:
        ValueError: the logits are those of another canvas.
    """
    return restored_argmax(logits, upsampled_argmax(logits), placement)


def upsampled_argmax(logits: np.ndarray) -> np.ndarray:
    """Return the part with the largest logit at every pixel after bilinear upsampling (`align_corners=False`) by 4.

    About a tenth of the cells are interpolated. For 20 parts at 512x512 it takes 1 to 2 ms on one core; the same
    operations in the graph take 14 ms on two (OpenVINO, f32).

    Args:
        logits: float32 (P, h, w).

    Returns:
        uint8 (4 h, 4 w).
    """
    height, width = logits.shape[1:]
    rows, columns = (np.clip(np.arange(-1, side + 1), 0, side - 1) for side in (height, width))
    samples = _largest(enumerate(logits))[rows][:, columns]
    corner = samples[:-1, :-1]
    mixed = (corner != samples[1:, :-1]) | (corner != samples[:-1, 1:]) | (corner != samples[1:, 1:])
    pixels = corner.repeat(OUTPUT_STRIDE, 0).repeat(OUTPUT_STRIDE, 1)

    row, column = np.nonzero(mixed)
    corners = np.array([rows[row + down] * width + columns[column + right] for down in (0, 1) for right in (0, 1)])
    # Not a matrix product: small ones wait for BLAS threads, see `resize`.
    between = (np.einsum("pc,cn->pn", WEIGHTS, part.ravel()[corners]) for part in logits)
    cells = pixels.reshape(height + 1, OUTPUT_STRIDE, width + 1, OUTPUT_STRIDE).transpose(1, 3, 0, 2)
    cells[:, :, row, column] = _largest(enumerate(between)).reshape(OUTPUT_STRIDE, OUTPUT_STRIDE, -1)
    # Cells begin at samples, which are the centres of blocks of pixels.
    half = OUTPUT_STRIDE // 2
    return np.ascontiguousarray(pixels[half:-half, half:-half])


def restored_argmax(logits: np.ndarray, canvas_map: np.ndarray, placement: Placement) -> np.ndarray:
    """Return the part map of a photo from that of its canvas, see `part_map`.

    It takes 1 to 2 ms for a photo of 320 pixels and 3 to 12 ms for one of 4000x3000, on one core.

    Args:
        logits: float32 (P, h, w), at stride 4 of the canvas.
        canvas_map: their `upsampled_argmax`.
        placement: place of the photo on the canvas.
    """
    if canvas_map.shape != placement.canvas:
        raise ValueError(f"part logits of a canvas of {canvas_map.shape}, photo on a canvas of {placement.canvas}")
    content = canvas_map[: placement.content[0], : placement.content[1]]
    if placement.content == placement.source:
        return np.ascontiguousarray(content)
    logits = np.ascontiguousarray(logits)
    to_height, to_width = map(bilinear, placement.content, placement.source)
    found = np.take(np.take(content, to_width.index[:, 0], axis=1), to_height.index[:, 0], axis=0)
    rows, columns = (
        _Blocks.of(bilinear(samples, canvas), resize)
        for samples, canvas, resize in zip(logits.shape[1:], placement.canvas, (to_height, to_width), strict=True)
    )
    mixed = _mixed(content, rows.corner, columns.corner)
    row, column = np.divmod(np.flatnonzero(mixed), mixed.shape[1])  # ten times faster than `nonzero`
    at_once = max(1, VALUES_AT_ONCE // max(4 * len(logits), len(rows.pixel) * len(columns.pixel)))
    for start in range(0, len(row), at_once):
        some = slice(start, start + at_once)
        for down, along, parts in _interpolated(logits, rows[row[some]], columns[column[some]]):
            found.ravel()[down[:, None] * found.shape[1] + along] = parts
    return found


def _mixed(content: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return which cells have unequal corners, bool (M, N), from their corners' rows (2, M) and columns (2, N)."""
    left, right = (np.take(content, side, axis=1) for side in columns)
    unequal, (top, bottom) = left != right, rows
    return unequal[top] | unequal[bottom] | (left[top] != left[bottom])


@dataclass(frozen=True)
class _Blocks:
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
    def of(cls, to_canvas: Taps, to_photo: Taps) -> "_Blocks":
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

    def __getitem__(self, chosen: np.ndarray) -> "_Blocks":
        """Return the chosen blocks."""
        return _Blocks(*(np.take(values, chosen, axis=-1) for values in vars(self).values()))


def _interpolated(
    logits: np.ndarray, rows: _Blocks, columns: _Blocks
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Interpolate N cells; yield rows (K, n), columns (L, n) and largest parts, uint8 (K, L, n), of n at a time."""
    corners = _corners(logits, rows, columns)
    # Everywhere in a cell, the largest part has at least the largest of the parts' smallest corners. A part whose
    # largest corner is below that is the largest nowhere.
    candidate = ~(corners.max(axis=0) < corners.min(axis=0).max(axis=0))  # with NaN, every part
    number = np.count_nonzero(candidate, axis=0)
    for many in np.flatnonzero(np.bincount(number)):
        cells = np.flatnonzero(number == many)
        parts = np.flatnonzero(candidate.T[cells]).reshape(-1, many).T % len(logits)
        parts = parts.astype(np.uint8)
        down, along = rows[cells], columns[cells]
        values = (_between(corners[:, part, cells], down.weight, along.weight) for part in parts)
        yield down.pixel, along.pixel, _largest(zip(parts, values, strict=True))


def _corners(logits: np.ndarray, rows: _Blocks, columns: _Blocks) -> np.ndarray:
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


def _largest(planes: Iterable[tuple[int | np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the part of the largest plane, element by element; the first of equal ones.

    Args:
        planes: part and plane; a part may be an array, along the last axis of the planes.

    Returns:
        uint8, of the planes' shape.
    """
    planes = iter(planes)
    part, plane = next(planes)
    largest, best = np.full(plane.shape, part, np.uint8), plane.copy()
    for part, plane in planes:
        np.putmask(largest, plane > best, part)  # repeats the part along the first axes
        np.maximum(best, plane, out=best)
    return largest
