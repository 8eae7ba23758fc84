"""What a model found in a photo, as the instance metrics want it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import PASTE_THRESHOLD, Instance, instances

LOWEST_SCORE = 0.1
"""Persons and parts below it are left out, as in M2FP. The runtime keeps fewer; AP ranks them by score."""


@dataclass(frozen=True)
class FoundPerson:
    """A person.

    Attributes:
        parts: uint8 (H, W), the part map of this person alone, 0 around him.
        score: higher is surer.
    """

    parts: NDArray[np.uint8]
    score: float


@dataclass(frozen=True)
class FoundRegion:
    """A part of one person.

    Attributes:
        part: 1..P-1.
        mask: bool (H, W).
        score: higher is surer.
    """

    part: int
    mask: NDArray[np.bool_]
    score: float


@dataclass(frozen=True)
class Found:
    """All that was found in a photo; persons and regions are independent of each other, and any may overlap."""

    persons: Sequence[FoundPerson]
    regions: Sequence[FoundRegion]


def found_in(parsing: Parsing) -> Found:
    """Persons and regions of a parsing whose `people_kind` is "persons", put together as M2FP does it.

    A pixel belongs to the best-scored person over it, and likewise to the best-scored part instance. A person's parts
    are the part map inside his mask. His score is that of his mask times the mean, over the parts that he has, of the
    best score of a part instance there. Regions are the part instances, whoever they belong to.
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
    """The instances, best first, each with the pixels that no better one has; those without any are left out."""
    free = np.ones(size, bool)
    for instance in sorted(found, key=lambda instance: -instance.score):
        mask = instance.mask(size) & free
        if mask.any():
            free &= ~mask
            yield instance, mask


def _part_score(person: NDArray[np.bool_], part_map: NDArray[np.uint8], parts: Iterable[Instance]) -> float:
    """Mean over a person's parts of the best score of a part instance pasted inside his mask; 0 where there is none."""
    present = set(np.unique(part_map[person]).tolist())
    best: dict[int, float] = {}
    for part in parts:
        pasted = part.probability * part.score > PASTE_THRESHOLD
        if part.category in present and (pasted & person[part.window]).any():
            best[part.category] = max(part.score, best.get(part.category, 0.0))
    return sum(best.values()) / len(best) if best else 0.0
