"""A model's labels of one photo: the most probable part of each pixel, its probability, and person ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import Placement, restore_taps
from m2fp_kd.runtime.persons import Person

PIXELS_AT_ONCE = 1 << 18
"""Pixels whose probabilities of all parts are in memory at the same time."""


@dataclass(frozen=True)
class Answer:
    """Labels of one photo at its own size.

    Attributes:
        part_map: uint8 (H, W), the most probable part.
        confidence: float32 (H, W), the probability of that part, 0..1.
        persons: uint8 (H, W), person ids, 0 outside persons; None where persons were not asked for.
    """

    part_map: np.ndarray
    confidence: np.ndarray
    persons: np.ndarray | None = None

    def labels(self, least: float, ignore_index: int) -> np.ndarray:
        """Return the part map with `ignore_index` where the confidence is below `least`."""
        return np.where(self.confidence < least, np.uint8(ignore_index), self.part_map)


class Labeller(Protocol):
    """A model that labels photos.

    Attributes:
        labels: label set of the answers.
        model: facts about the model: name, licence and data for people; all others change its answers.
    """

    labels: LabelSet
    model: dict[str, Any]

    def __call__(self, photo: np.ndarray) -> Answer:
        """Label a photo, uint8 (H, W, 3)."""


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


def person_ids(persons: Sequence[Person], part_map: np.ndarray) -> np.ndarray:
    """Number the persons from 1, uint8 (H, W); 0 on the background and outside them.

    Args:
        persons: best first; where two overlap, the better one keeps the pixel.
        part_map: uint8 (H, W), 0 on the background.
    """
    ids = np.zeros(part_map.shape, np.uint8)
    for number, person in reversed(list(enumerate(persons, 1))):
        ids[person.mask] = number
    ids[part_map == 0] = 0
    return ids
