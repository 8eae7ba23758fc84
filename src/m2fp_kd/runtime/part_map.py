"""From part logits at stride 4 to the part map, without upsampling what needs no upsampling."""

from collections.abc import Iterable

import numpy as np

STRIDE = 4

FRACTIONS = ((np.arange(STRIDE) + 0.5) / STRIDE).astype(np.float32)
"""Where the pixels between two neighbouring samples lie."""


def upsampled_argmax(logits: np.ndarray) -> np.ndarray:
    """The largest part of every pixel after bilinear upsampling (`align_corners=False`) by 4.

    Upsampled logits are averages of four neighbouring samples. Where the same part is the largest in all four it is the
    largest everywhere between them, so only the cells at parts' borders, a tenth or so, are interpolated. The result is
    that of interpolating everything, but for rounding where two parts are as good as equal. For 20 parts at 512x512
    that is 2 ms on one core, where the operations in the graph take 14 ms on two (OpenVINO, f32).

    Args:
        logits: float32 (P, h, w).

    Returns:
        uint8 (4 h, 4 w).
    """
    height, width = logits.shape[1:]
    rows, columns = (np.clip(np.arange(-1, side + 1), 0, side - 1) for side in (height, width))
    samples = _largest(logits)[rows][:, columns]
    corner = samples[:-1, :-1]
    mixed = (corner != samples[1:, :-1]) | (corner != samples[:-1, 1:]) | (corner != samples[1:, 1:])
    pixels = corner.repeat(STRIDE, 0).repeat(STRIDE, 1)

    row, column = np.nonzero(mixed)
    corners = [[rows[row + down] * width + columns[column + right] for right in (0, 1)] for down in (0, 1)]
    between = (_interpolate(part.ravel()[np.array(corners)]) for part in logits)
    cells = pixels.reshape(height + 1, STRIDE, width + 1, STRIDE).transpose(1, 3, 0, 2)
    cells[:, :, row, column] = _largest(between)
    # Cells begin at samples, which are the centres of blocks of pixels.
    half = STRIDE // 2
    return np.ascontiguousarray(pixels[half:-half, half:-half])


def _interpolate(corners: np.ndarray) -> np.ndarray:
    """Values at the corners of n cells (down, right, n) -> at the pixels within them, (4, 4, n)."""
    sides = corners[0] + FRACTIONS[:, None, None] * (corners[1] - corners[0])
    left, right = sides[:, :1], sides[:, 1:]
    return left + FRACTIONS[:, None] * (right - left)


def _largest(planes: Iterable[np.ndarray]) -> np.ndarray:
    """Index of the plane that is largest, element by element; the first of equal ones."""
    planes = iter(planes)
    best = next(planes).copy()
    index = np.zeros(best.shape, np.uint8)
    for number, plane in enumerate(planes, 1):
        np.putmask(index, plane > best, number)
        np.maximum(best, plane, out=best)
    return index
