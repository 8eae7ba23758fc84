"""The result of parsing one photo: part map, parts, people, and other tools' formats of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from PIL import Image

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.arrays import Box, softmax
from m2fp_kd.runtime.confidence import confidence
from m2fp_kd.runtime.formats import coco_result, modelscope_instances, modelscope_parts
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE, Placement
from m2fp_kd.runtime.mosaic import mosaic as draw_mosaic
from m2fp_kd.runtime.persons import Person
from m2fp_kd.runtime.regions import Region, Runs, connected_regions

SMALLEST_REGION = 0.001
"""Share of the photo that a connected region must cover to count as a person."""


@dataclass(frozen=True)
class Part:
    """A part that is present in a photo, on all persons together.

    Attributes:
        index: index in the label set.
        name: name in the label set.
        colour: RGB, 0..255.
        area: pixels.
        share: area as a share of the photo, 0..1.
        box: smallest box around the part.
        score: mean probability of the part over its pixels, 0..1; None where the artefact gives no probabilities.
        part_map: part map that contains it.
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
        """Pixels of the part, bool (H, W), at the photo's own size."""
        return self.part_map == self.index


@dataclass(frozen=True)
class Parsing:
    """The result of parsing one photo.

    Attributes:
        photo: uint8 (H, W, 3) RGB, upright.
        part_map: uint8 (H, W), the part at each pixel, at the photo's own size; see `runtime.part_map`.
        labels: label set of the part map.
        people_kind: "persons" where the artefact separates persons; else "regions", the connected regions of parts.
            Two people who touch are one region, and a hidden waist splits one person in two.
        timings: milliseconds by step: read, place, network, restore and, with persons, people; labels where the result
            was translated to another label set.
        placement: place of the photo on the network's canvas.
        outputs: outputs of the network for the canvas: part_logits (P, h, w) at stride 4; with persons also
            class_logits (Q, C + 1) and mask_logits (Q, h, w), unless the result was translated.
        persons: persons, best first, of an artefact that separates them.
        licence: licence of the artefact, which covers its results; None where it is not known.
    """

    photo: np.ndarray = field(repr=False)
    part_map: np.ndarray = field(repr=False)
    labels: LabelSet
    people_kind: Literal["persons", "regions"]
    timings: dict[str, float]
    placement: Placement
    outputs: Mapping[str, np.ndarray] = field(repr=False)
    persons: list[Person] = field(default_factory=list, repr=False)
    licence: str | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Part present, background included -> share of the photo that it covers, in the label set's order."""
        return {self.labels.parts[index]: area / self.part_map.size for index, area, _ in self._places}

    @cached_property
    def parts(self) -> list[Part]:
        """Parts present, without background, in the label set's order."""
        names, colours = self.labels.parts, self.labels.colours
        shares, scores = self.shares, self.part_scores
        return [
            Part(index, names[index], colours[index], area, shares[names[index]], box, scores.get(index), self.part_map)
            for index, area, box in self._places
            if index
        ]

    @cached_property
    def people(self) -> Sequence[Person | Region]:
        """Persons, best first, or regions, largest first; see `people_kind`. A region has no score."""
        if self.people_kind == "persons":
            return self.persons
        return connected_regions(self.part_map != 0, round(SMALLEST_REGION * self.part_map.size))

    def mosaic(self, every_part: bool = False) -> Image.Image:
        """Draw the photo beside its parts, with a legend.

        Args:
            every_part: list every part in the legend, without shares, so that the frames of a video have one size and
                one legend; False lists the parts present, with their shares.
        """
        return draw_mosaic(self.photo, self.part_map, self.labels, every_part)

    def confidence(self) -> np.ndarray:
        """Return the probability of each pixel's part as 0..255, uint8 (H, W), at the photo's own size.

        Raises:
            ValueError: the artefact gives no probabilities.
        """
        if "part_logits" not in self.outputs:
            raise ValueError("the artefact gives no probabilities (part_logits); export it with this version")
        return confidence(self.outputs["part_logits"], self.placement)

    def to_modelscope(self) -> dict[str, list[Any]]:
        """Return what ModelScope's M2FP pipeline returns, so that code written for it keeps working.

        An artefact that separates persons gives instances: every part of every person, then every person under the
        label "Human". Any other, and a result in another label set, gives one mask per part present, background
        included.

        Returns:
            "labels" (names), "scores" (0..1) and "masks", float32 (H, W) of 0 and 1, in the same order.
        """
        if "class_logits" in self.outputs:
            return modelscope_instances(self.outputs, self.placement, self.labels)
        return modelscope_parts(self.part_map, self.part_scores, self.labels)

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return COCO results with run-length masks that `pycocotools` reads: the parts, then the people.

        Args:
            image_id: id of the photo, repeated in every result.

        Returns:
            Results as in `coco_result`. The category id is the part's index; people have the number of parts, and the
            category "Human" or "region".
        """
        human, name = self.labels.num_parts, {"persons": "Human", "regions": "region"}[self.people_kind]
        return [
            *(coco_result(part, part.index, part.name, image_id) for part in self.parts),
            *(coco_result(one, human, name, image_id) for one in self.people),
        ]

    @cached_property
    def _places(self) -> list[tuple[int, int, Box]]:
        """Index, area and box of each part present, background included, in the label set's order."""
        runs = Runs.of(self.part_map)
        return runs.places(self.part_map[runs.row, runs.start])

    @cached_property
    def part_scores(self) -> dict[int, float]:
        """Index of a part present, background included -> mean of its probability over its pixels, at stride 4.

        Empty where the artefact gives no `part_logits`.
        """
        if "part_logits" not in self.outputs:
            return {}
        canvas, logits = self.outputs["part_map"], self.outputs["part_logits"]
        _, height, width = logits.shape
        probabilities = softmax(logits, axis=0)
        sample = np.arange(height * width).reshape(height, width).repeat(OUTPUT_STRIDE, 0).repeat(OUTPUT_STRIDE, 1)
        of_pixel = probabilities.ravel()[canvas.astype(np.intp) * (height * width) + sample]
        runs = Runs.of(canvas)
        part = canvas[runs.row, runs.start]
        areas = np.bincount(part, runs.length)
        totals = np.bincount(part, np.add.reduceat(of_pixel.ravel(), runs.row * canvas.shape[1] + runs.start))
        return {int(index): float(totals[index] / areas[index]) for index in np.flatnonzero(areas)}
