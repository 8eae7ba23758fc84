"""APp: average precision of persons by the mean IoU of their parts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.metrics.instances.average_precision import average_precision
from m2fp_kd.evaluation.metrics.instances.found import FoundPerson
from m2fp_kd.evaluation.metrics.instances.matching import NOBODY, Claims
from m2fp_kd.evaluation.metrics.instances.truth import UNKNOWN, Truth


class PersonClaims:
    """Claims of predicted persons on true persons.

    Attributes:
        claims: claims whose overlap is the mean IoU over the parts, background included.
        part_iou: for each predicted person, float (P,), IoU of each part with the claimed person; NaN for a part that
            neither has.
        parts: number of parts of each true person.
    """

    def __init__(self) -> None:
        self.claims = Claims()
        self.part_iou: list[NDArray[np.float64]] = []
        self.parts: list[int] = []

    def add(self, persons: Sequence[FoundPerson], truth: Truth) -> None:
        """Add a photo; skip persons that cover only unknown pixels.

        Raises:
            ValueError: a person's map differs in size from the truth or holds an index that is not a part.
        """
        num_parts = truth.areas.shape[1]
        for person in persons:
            if person.parts.shape != truth.codes.shape:
                raise ValueError(f"person {person.parts.shape} and truth {truth.codes.shape} differ in size")
            if person.parts.max() >= num_parts:
                raise ValueError(f"person with part {person.parts.max()}, but parts are 0..{num_parts - 1}")
        known = [person for person in persons if _is_known(person, truth)]
        iou = np.array([truth.part_iou(person.parts) for person in known]).reshape(len(known), *truth.areas.shape)
        claimed = self.claims.add([person.score for person in known], np.nanmean(iou, axis=2))
        self.part_iou += [
            of_person[column] if column != NOBODY else np.full(num_parts, np.nan)
            for of_person, column in zip(iou, claimed, strict=True)
        ]
        self.parts += np.count_nonzero(truth.areas, axis=1).tolist()


def part_ap(persons: PersonClaims, threshold: float) -> float:
    """Return APp at a threshold, 0..1; at least one true person is required."""
    claims = persons.claims
    return average_precision(claims.scores, claims.hits(threshold), claims.count)


def _is_known(person: FoundPerson, truth: Truth) -> bool:
    """Return whether a person covers a known pixel, or no part at all, which is known to be wrong."""
    inside = truth.codes[person.parts > 0]
    return not len(inside) or bool((inside != UNKNOWN).any())
