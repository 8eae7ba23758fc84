"""Persons and regions that a model found in a photo, as input of the instance metrics."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import PASTE_THRESHOLD, Instance, instances

LOWEST_SCORE = 0.1
"""Lowest score of persons and parts that are kept, as in M2FP. The runtime keeps fewer; AP ranks them by score."""


@dataclass(frozen=True)
class FoundPerson:
    """A predicted person.

    Attributes:
        parts: uint8 (H, W), part map of this person alone, 0 elsewhere.
        score: confidence, higher is better.
    """

    parts: NDArray[np.uint8]
    score: float


@dataclass(frozen=True)
class FoundRegion:
    """A predicted part of one person.

    Attributes:
        part: part index, 1..P-1.
        mask: bool (H, W).
        score: confidence, higher is better.
    """

    part: int
    mask: NDArray[np.bool_]
    score: float


@dataclass(frozen=True)
class Found:
    """Predictions for one photo; persons and regions are independent of each other, and all of them may overlap."""

    persons: Sequence[FoundPerson]
    regions: Sequence[FoundRegion]


def found_in(parsing: Parsing) -> Found:
    """Return the persons and regions of a parsing whose `people_kind` is "persons", assembled as in M2FP.

    A pixel belongs to the person with the highest score that covers it, and likewise to the part instance with the
    highest score. A person's parts are the part map inside the person's mask. A person's score is the score of the
    mask times the mean, over the person's parts, of the best score of a part instance there. Regions are the part
    instances, regardless of the person.
    """
    size, human = parsing.part_map.shape, parsing.labels.num_parts
    logits = parsing.outputs["class_logits"], parsing.outputs["mask_logits"]
    found = list(instances(*logits, parsing.placement, range(1, human + 1), LOWEST_SCORE))
    parts = [instance for instance in found if instance.category != human]
    return Found(
        persons=[
            FoundPerson(np.where(mask, parsing.part_map, 0), person.score * _part_score(mask, parsing.part_map, parts))
            for person, mask in _owned((instance for instance in found if instance.category == human), size)
        ],
        regions=[FoundRegion(part.category, mask, part.score) for part, mask in _owned(parts, size)],
    )


def _owned(found: Iterable[Instance], size: tuple[int, int]) -> Iterator[tuple[Instance, NDArray[np.bool_]]]:
    """Yield the instances, best first, with the pixels that no better one owns; skip instances that own none."""
    free = np.ones(size, bool)
    for instance in sorted(found, key=lambda instance: -instance.score):
        mask = instance.mask(size) & free
        if mask.any():
            free &= ~mask
            yield instance, mask


def _part_score(person: NDArray[np.bool_], part_map: NDArray[np.uint8], parts: Iterable[Instance]) -> float:
    """Return the mean, over a person's parts, of the best score of a part instance inside the mask; 0 without any."""
    present = set(np.unique(part_map[person]).tolist())
    best: dict[int, float] = {}
    for part in parts:
        pasted = part.probability * part.score > PASTE_THRESHOLD
        if part.category in present and (pasted & person[part.window]).any():
            best[part.category] = max(part.score, best.get(part.category, 0.0))
    return sum(best.values()) / len(best) if best else 0.0
