"""APp: average precision of persons by the mean IoU of their parts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.metrics.instances.average_precision import average_precision
from m2fp_kd.evaluation.metrics.instances.found import FoundPerson
from m2fp_kd.evaluation.metrics.instances.matching import NOBODY, Claims
from m2fp_kd.evaluation.metrics.instances.truth import UNKNOWN, Truth


class PersonClaims:
    """What persons claim.

    Attributes:
        claims: their overlap is the mean IoU over the parts, background included.
        part_iou: float (P,) of each predicted person with the true one that he claims; NaN where neither has the part.
        parts: how many parts each true person has.
    """

    def __init__(self) -> None:
        self.claims = Claims()
        self.part_iou: list[NDArray[np.float64]] = []
        self.parts: list[int] = []

    def add(self, persons: Sequence[FoundPerson], truth: Truth) -> None:
        """Add a photo; persons in unknown pixels only are left out.

        Raises:
            ValueError: a person's map is of another size than the truth, or holds a part that is none.
        """
        num_parts = truth.areas.shape[1]
        for person in persons:
            if person.parts.shape != truth.codes.shape:
                raise ValueError(f"person {person.parts.shape} and truth {truth.codes.shape} are not of one size")
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
    """APp at a threshold, 0..1; there has to be a true person."""
    claims = persons.claims
    return average_precision(claims.scores, claims.hits(threshold), claims.count)


def _is_known(person: FoundPerson, truth: Truth) -> bool:
    """Whether a person has a known pixel; one without any part is known to be wrong."""
    inside = truth.codes[person.parts > 0]
    return not len(inside) or bool((inside != UNKNOWN).any())
