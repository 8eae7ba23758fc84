"""The most probable part of each pixel of a photo and its probability, from part logits of one or several views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import Placement, restore_taps

PIXELS_AT_ONCE = 1 << 18
"""Pixels whose probabilities of all parts are in memory at the same time."""


@dataclass(frozen=True)
class View:
    """A model's answer to a photo or to its mirror image.

    Attributes:
        logits: part logits or log parts, float32 (P, h, w) over the canvas.
        placement: place of the photo on the canvas.
        flip: for the mirrored photo, the permutation of the label set that swaps left and right parts; else None.
    """

    logits: np.ndarray
    placement: Placement
    flip: Sequence[int] | None = None


def most_probable(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """Average the views' probabilities at the photo's own size, where their logits are interpolated.

    The part map of a single view is that of `runtime.part_map.part_map`.

    Returns:
        The most probable part of every pixel, uint8 (H, W), and its mean probability, float32 (H, W).
    """
    height, width = views[0].placement.source
    parts, confidence = np.empty((height, width), np.uint8), np.empty((height, width), np.float32)
    rows = max(1, PIXELS_AT_ONCE // width)
    strips = [_Strips(view) for view in views]
    for top in range(0, height, rows):
        block = slice(top, min(top + rows, height))
        mean = np.mean([strip[block] for strip in strips], axis=0)
        parts[block] = mean.argmax(axis=0)
        confidence[block] = mean.max(axis=0)
    return parts, confidence


class _Strips:
    """A view's probabilities at the photo's size, computed row by row."""

    def __init__(self, view: View) -> None:
        self.rows, columns = restore_taps(view.logits.shape[-2:], view.placement)
        self.widened = columns.columns(view.logits.astype(np.float32, copy=False))
        self.flip = view.flip

    def __getitem__(self, block: slice) -> np.ndarray:
        """Return the probabilities (P, rows, W) of the upright photo's rows."""
        strip = softmax(self.rows[block].rows(self.widened), axis=0)
        return strip if self.flip is None else strip[list(self.flip), :, ::-1]
