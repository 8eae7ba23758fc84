"""What was found in one photo: the part map, its parts, the people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Placement
from m2fp_kd.runtime.persons import Box, Person, softmax
from m2fp_kd.runtime.regions import Region, Runs, connected_regions

SMALLEST_REGION = 0.001
"""Share of the photo below which a connected region is not taken for a person."""


@dataclass(frozen=True)
class Part:
    """A part that is present in a photo, over all persons.

    Attributes:
        index: in the label set.
        name: in the label set.
        colour: RGB 0..255.
        area: pixels.
        share: of the photo, 0..1.
        box: the smallest box around it.
        score: mean probability of the part over its pixels, 0..1; None where the artefact does not give it.
        part_map: that it is a part of.
    """

    index: int
    name: str
    colour: tuple[int, int, int]
    area: int
    share: float
    box: Box
    score: float | None
    part_map: np.ndarray = field(repr=False)

    @property
    def mask(self) -> np.ndarray:
        """Where it is, bool (H, W) at the photo's own size."""
        return self.part_map == self.index


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
        return {self.labels.parts[index]: area / self.part_map.size for index, area, _ in self._places}

    @cached_property
    def parts(self) -> list[Part]:
        """The parts present, background left out, in the label set's order."""
        names, colours = self.labels.parts, self.labels.colours
        shares, scores = self.shares, self.part_scores
        return [
            Part(index, names[index], colours[index], area, shares[names[index]], box, scores.get(index), self.part_map)
            for index, area, box in self._places
            if index
        ]

    @cached_property
    def people(self) -> Sequence[Person | Region]:
        """The people, best or largest first: persons or regions, as `people_kind` says; a region has no score."""
        if self.people_kind == "persons":
            return self.persons
        return connected_regions(self.part_map != 0, round(SMALLEST_REGION * self.part_map.size))

    @cached_property
    def _places(self) -> list[tuple[int, int, Box]]:
        """Index, area and box of the parts present, background included, in the label set's order."""
        runs = Runs.of(self.part_map)
        return runs.places(self.part_map[runs.row, runs.start])

    @cached_property
    def part_scores(self) -> dict[int, float]:
        """Index of a part present -> mean over its pixels of its probability, which is known at stride 4.

        Background is included; empty where the artefact does not give `part_logits`.
        """
        if "part_logits" not in self.outputs:
            return {}
        canvas, logits = self.outputs["part_map"], self.outputs["part_logits"]
        _, height, width = logits.shape
        probabilities = np.moveaxis(softmax(np.moveaxis(logits, 0, -1)), -1, 0)
        sample = np.arange(height * width).reshape(height, width).repeat(OUTPUT_STRIDE, 0).repeat(OUTPUT_STRIDE, 1)
        of_pixel = probabilities.ravel()[canvas.astype(np.intp) * (height * width) + sample]
        runs = Runs.of(canvas)
        part = canvas[runs.row, runs.start]
        areas = np.bincount(part, runs.length)
        totals = np.bincount(part, np.add.reduceat(of_pixel.ravel(), runs.row * canvas.shape[1] + runs.start))
        return {int(index): float(totals[index] / areas[index]) for index in np.flatnonzero(areas)}
