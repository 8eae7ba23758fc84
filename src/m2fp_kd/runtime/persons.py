"""M2FP's post-processing without torch: part and person instances, and the part map that is pasted from them.

Works on one photo's `class_logits` (Q, C + 1), whose last class is "no object", and `mask_logits` (Q, h', w') at any
stride of the canvas. Classes 0..P-1 are parts; P, where C > P, is `Human`. Described in "Deep Learning Technique for
Human Parsing: A Survey and Outlook" (https://arxiv.org/abs/2301.00394) and, for instances, in Mask2Former
(https://arxiv.org/abs/2112.01527).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from m2fp_kd.runtime.arrays import Box, bounding_box, sigmoid, softmax, span
from m2fp_kd.runtime.geometry import Placement, restore_taps
from m2fp_kd.runtime.resize import Taps

MAX_INSTANCES = 100
"""Most (query, class) pairs that become instances, by probability, as in Mask2Former."""

PASTE_THRESHOLD = 0.5
"""A pixel is pasted where its score, instance score x mask probability, is above this."""

ROWS_AT_ONCE = 16
"""Rows of a mask that are computed at a time, few enough to stay in the CPU's cache."""


@dataclass(frozen=True)
class Instance:
    """One part of one person, or one person.

    Attributes:
        category: class index.
        score: class probability x mean mask probability inside the mask, 0..1.
        box: a window that holds the whole mask.
        probability: float32 (bottom - top, right - left), mask probability at the photo's own size inside the box.
    """

    category: int
    score: float
    box: Box
    probability: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """The mask in a photo of `size`, bool (H, W)."""
        mask = np.zeros(size, bool)
        mask[self.window] = self.probability > 0.5
        return mask


@dataclass(frozen=True)
class Person:
    """A person in a photo. Its mask is kept as one bit a pixel of its box, because a photo may show a hundred persons.

    Attributes:
        score: 0..1.
        box: the smallest box around the mask.
        area: pixels of the mask.
        size: (H, W) of the photo.
        packed: bits of the mask inside the box, row by row, as `np.packbits` makes them.
    """

    score: float
    box: Box
    area: int
    size: tuple[int, int]
    packed: np.ndarray = field(repr=False)

    @classmethod
    def of(
        cls, mask: np.ndarray, score: float, at: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
    ) -> "Person":
        """Return the person of a non-empty mask.

        Args:
            mask: bool (h, w).
            score: 0..1.
            at: row and column of the mask's first pixel in the photo.
            size: (H, W) of the photo; None for the mask's own.
        """
        left, top, right, bottom = bounding_box(mask)
        inside = mask[top:bottom, left:right]
        box = (at[1] + left, at[0] + top, at[1] + right, at[0] + bottom)
        return cls(score, box, int(inside.sum()), size or mask.shape, np.packbits(inside))

    @property
    def mask(self) -> np.ndarray:
        """The mask, bool (H, W); made at every access."""
        left, top, right, bottom = self.box
        height, width = bottom - top, right - left
        mask = np.zeros(self.size, bool)
        inside = np.unpackbits(self.packed, count=height * width).view(bool)
        mask[top:bottom, left:right] = inside.reshape(height, width)
        return mask


def instances(
    class_logits: np.ndarray,
    mask_logits: np.ndarray,
    placement: Placement,
    categories: Collection[int],
    threshold: float = 0.3,
) -> Iterator[Instance]:
    """Yield the instances of `categories` that score at least `threshold`, the most probable class first.

    Two shortcuts save time and are exact. A mask's mean probability is at most 1, so a query whose class probability is
    below the threshold is skipped. A bilinear resize is positive only near positive values, so a mask is resized only
    there.
    """
    probabilities = softmax(class_logits)[:, :-1]
    queries, classes = np.nonzero(probabilities >= threshold)
    best_first = np.argsort(-probabilities[queries, classes], kind="stable")[:MAX_INSTANCES]
    rows, columns = restore_taps(mask_logits.shape[-2:], placement)
    for query, category in zip(queries[best_first], classes[best_first], strict=True):
        logits = mask_logits[query]
        if int(category) not in categories or not (logits > 0).any():
            continue
        top, bottom = span((logits > 0).any(axis=1)[rows.index].any(axis=1))
        left, right = span((logits > 0).any(axis=0)[columns.index].any(axis=1))
        widened = columns[left:right].columns(logits.astype(np.float32, copy=False))
        probability = _probability(rows[top:bottom], widened)
        inside = probability[probability > 0.5]
        score = float(probabilities[query, category] * inside.mean()) if inside.size else 0.0
        del inside
        if score >= threshold:
            yield Instance(int(category), score, (left, top, right, bottom), probability)
        del probability  # a large photo's, before the next is made


def _probability(rows: Taps, widened: np.ndarray) -> np.ndarray:
    """Return the mask probabilities of logits (h', W) resized to the rows: float32 (H, W)."""
    probability = np.empty((len(rows.index), widened.shape[1]), np.float32)
    for top in range(0, len(probability), ROWS_AT_ONCE):
        block = slice(top, top + ROWS_AT_ONCE)
        probability[block] = sigmoid(rows[block].rows(widened))
    return probability


def find_persons(
    class_logits: np.ndarray, mask_logits: np.ndarray, placement: Placement, num_parts: int
) -> list[Person]:
    """Return the persons in a photo, best first; needs a class head with `Human` at index `num_parts`."""
    found = []
    for one in instances(class_logits, mask_logits, placement, {num_parts}):
        left, top, _, _ = one.box
        found.append(Person.of(one.probability > 0.5, one.score, (top, left), placement.source))
        del one  # a large photo's probabilities, before the next are made
    return sorted(found, key=lambda person: -person.score)


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


def paste(parts: Iterable[Instance], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Paste part instances into one part map; the highest score wins, and the remaining pixels are background.

    M2FP's mIoU is computed from this map. It is thresholded, so it is not a target for distillation.

    Args:
        parts: instances, background's included.
        size: (H, W) of the photo.

    Returns:
        The part map, uint8 (H, W), and its score, float32 (H, W), 0 where nothing was pasted.
    """
    part_map = np.zeros(size, np.uint8)
    score = np.zeros(size, np.float32)
    for part in parts:
        value = part.probability * np.float32(part.score)
        better = (value > PASTE_THRESHOLD) & (value > score[part.window])
        part_map[part.window][better] = part.category
        score[part.window][better] = value[better]
    return part_map, score
