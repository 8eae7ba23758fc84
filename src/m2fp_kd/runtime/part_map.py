"""Compute part maps from part logits at stride 4, for a canvas or a photo, interpolating only where parts meet.

Bilinear values between four samples are averages of them, with the same weights for every part. So a part that is the
largest in all four samples is the largest everywhere between them, and only the other cells, those at borders between
parts, need interpolation.
"""

from collections.abc import Iterable

import numpy as np

from m2fp_kd.runtime.cells import cells_of, fill_cells
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Placement
from m2fp_kd.runtime.resize import bilinear

_FRACTIONS = (np.arange(OUTPUT_STRIDE, dtype=np.float32) + 0.5) / OUTPUT_STRIDE
_SIDES = np.stack([1 - _FRACTIONS, _FRACTIONS], axis=1)

WEIGHTS = np.kron(_SIDES, _SIDES)
"""Bilinear weights of a cell's four corners for each of its 16 pixels, (16, 4), both row by row."""


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
    logits, cells = np.ascontiguousarray(logits), cells_of(logits.shape[1:], placement)
    to_height, to_width = map(bilinear, placement.content, placement.source)
    found = np.take(np.take(content, to_width.index[:, 0], axis=1), to_height.index[:, 0], axis=0)
    rows, columns = cells
    mixed = _mixed(content, rows.corner, columns.corner)
    fill_cells(found, mixed, logits, cells, lambda parts, planes: _largest(zip(parts, planes, strict=True)))
    return found


def _mixed(content: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return which cells have unequal corners, bool (M, N), from their corners' rows (2, M) and columns (2, N)."""
    left, right = (np.take(content, side, axis=1) for side in columns)
    unequal, (top, bottom) = left != right, rows
    return unequal[top] | unequal[bottom] | (left[top] != left[bottom])


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
