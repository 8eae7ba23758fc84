"""What was found in one photo: the part map, its parts, the people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.part_map import STRIDE
from m2fp_kd.runtime.persons import Box, Person, bounding_box, softmax
from m2fp_kd.runtime.regions import connected_regions

SMALLEST_REGION = 0.001
"""Share of the photo below which a connected region is not taken for a person."""


@dataclass(frozen=True)
class Part:
    """A part that is present in a photo, over all persons.

    Attributes:
        index: in the label set.
        name: in the label set.
        colour: RGB 0..255.
        mask: bool (H, W) at the photo's own size.
        area: pixels.
        share: of the photo, 0..1.
        box: the smallest box around it.
        score: mean probability of the part over its pixels, 0..1; None where the artefact does not give it.
    """

    index: int
    name: str
    colour: tuple[int, int, int]
    mask: np.ndarray = field(repr=False)
    area: int
    share: float
    box: Box
    score: float | None


@dataclass(frozen=True)
class Parsing:
    """What was found in one photo.

    Attributes:
        part_map: uint8 (H, W), the part at each pixel, at the photo's own size (upright).
        labels: what the numbers in it mean.
        people_kind: "persons" where the artefact tells them apart; else "regions": connected regions of parts. Two
            people who touch are one region, and a hidden waist makes two of one person.
        timings: milliseconds by step: read, place, network, restore and, with persons, people.
        placement: where the photo lies on the network's canvas.
        outputs: what the network said of the canvas: part_logits (P, h, w) at stride 4; with persons, class_logits
            (Q, C + 1) and mask_logits (Q, h, w) as well.
        persons: those of an artefact that tells them apart, best first.
    """

    part_map: np.ndarray = field(repr=False)
    labels: LabelSet
    people_kind: Literal["persons", "regions"]
    timings: dict[str, float]
    placement: Placement
    outputs: Mapping[str, np.ndarray] = field(repr=False)
    persons: list[Person] = field(default_factory=list, repr=False)

    @property
    def shares(self) -> dict[str, float]:
        """Share of the photo that each part present covers, background included, in the label set's order."""
        return {self.labels.parts[index]: float(count / self.part_map.size) for index, count in self._counts.items()}

    @cached_property
    def parts(self) -> list[Part]:
        """The parts present, background left out, in the label set's order."""
        found = []
        for index, area in self._counts.items():
            if index:
                mask = self.part_map == index
                name, colour, share = self.labels.parts[index], self.labels.colours[index], area / self.part_map.size
                found.append(
                    Part(index, name, colour, mask, area, share, bounding_box(mask), self.part_scores.get(index))
                )
        return found

    @cached_property
    def people(self) -> list[Person]:
        """The people, best or largest first: persons or regions, as `people_kind` says; a region has no score."""
        if self.people_kind == "persons":
            return self.persons
        regions = connected_regions(self.part_map != 0, round(SMALLEST_REGION * self.part_map.size))
        return [Person(region, None, bounding_box(region)) for region in regions]

    @cached_property
    def _counts(self) -> dict[int, int]:
        counts = np.bincount(self.part_map.ravel())
        return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}

    @cached_property
    def part_scores(self) -> dict[int, float]:
        """Index of a part present -> mean over its pixels of its probability, which is known at stride 4.

        Background is included; empty where the artefact does not give `part_logits`.
        """
        if "part_logits" not in self.outputs:
            return {}
        canvas, logits = self.outputs["part_map"], self.outputs["part_logits"]
        parts, height, width = logits.shape
        probabilities = softmax(np.moveaxis(logits, 0, -1))
        samples = canvas.reshape(height, STRIDE, width, STRIDE)
        scores = {}
        for index in range(parts):
            weights = (samples == index).sum(axis=(1, 3))
            if total := weights.sum():
                scores[index] = float((probabilities[..., index] * weights).sum() / total)
        return scores
