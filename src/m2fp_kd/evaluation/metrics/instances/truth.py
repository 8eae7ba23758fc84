"""The true persons of a photo with their parts, and their overlap with predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BACKGROUND, UNKNOWN = -1, -2


@dataclass(frozen=True)
class Truth:
    """The G true persons of a photo.

    Attributes:
        codes: int (H, W), person * P + part of each pixel; `BACKGROUND` outside persons, `UNKNOWN` if the part is
            unknown.
        areas: int (G, P), number of pixels of each part of each person; 0 for the background.
    """

    codes: NDArray[np.int64]
    areas: NDArray[np.int64]

    @classmethod
    def of(
        cls, parts: NDArray, humans: NDArray, num_parts: int, ignore_index: int = 255, bare: bool = False
    ) -> "Truth":
        """Collect the persons from a part map and the person ids.

        Args:
            parts: integer (H, W), part of each pixel.
            humans: integer (H, W), person of each pixel, 0 outside persons.
            num_parts: P, background included.
            ignore_index: value of the pixels that count on neither side.
            bare: keep persons without a known part.

        Raises:
            ValueError: the maps differ in size, or a part is not in 0..P-1.
        """
        if parts.shape != humans.shape:
            raise ValueError(f"part map {parts.shape} and person ids {humans.shape} differ in size")
        known = parts != ignore_index
        if (parts[known] >= num_parts).any():
            raise ValueError(f"truth holds part {int(parts[known].max())}, but parts are 0..{num_parts - 1}")
        shown = known & (parts > 0) & (humans > 0)
        persons = np.unique(humans[humans > 0] if bare else humans[shown])
        codes = np.where(known, BACKGROUND, UNKNOWN)
        codes[shown] = np.searchsorted(persons, humans[shown]) * num_parts + parts[shown]
        areas = np.bincount(codes[shown], minlength=len(persons) * num_parts).reshape(len(persons), num_parts)
        return cls(codes, areas)

    def region_iou(self, mask: NDArray[np.bool_], part: int) -> NDArray[np.float64]:
        """Return the IoU of a region, bool (H, W), with this part of each person that has it, in the persons' order."""
        inside = self.codes[mask]
        shared = self._count(inside[inside >= 0])[:, part]
        union = np.count_nonzero(inside != UNKNOWN) + self.areas[:, part] - shared
        has_it = self.areas[:, part] > 0
        return shared[has_it] / union[has_it]

    def part_iou(self, parts: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the IoU (G, P) of each part between a predicted person's part map (H, W) and each true person.

        Pixels outside a person are background; NaN marks a part that neither person has.
        """
        inside = (parts > 0) & (self.codes != UNKNOWN)
        code, own = self.codes[inside], parts[inside]
        theirs = code >= 0
        both = self._count(code[theirs]).sum(axis=1)
        shared = self._count(code[theirs & (code % self.areas.shape[1] == own)])
        union = np.bincount(own, minlength=self.areas.shape[1]) + self.areas - shared
        known = np.count_nonzero(self.codes != UNKNOWN)
        shared[:, 0] = known - len(own) - self.areas.sum(axis=1) + both
        union[:, 0] = known - both
        return np.divide(shared, union, out=np.full(union.shape, np.nan), where=union > 0)

    def _count(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the pixels (G, P) of each part of each person among some codes."""
        return np.bincount(codes, minlength=self.areas.size).reshape(self.areas.shape)
