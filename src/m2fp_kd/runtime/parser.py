"""Photos in, part maps and persons out: the one way that everything here uses an artefact."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.artefact import Card, find_model, load_card
from m2fp_kd.runtime.engines import Engine, open_engine
from m2fp_kd.runtime.geometry import Geometry, PhotoSource, place, read_photo, restore_map
from m2fp_kd.runtime.part_map import upsampled_argmax
from m2fp_kd.runtime.persons import Person, people
from m2fp_kd.runtime.regions import connected_regions


@dataclass(frozen=True)
class Parsing:
    """What was found in one photo.

    Attributes:
        part_map: uint8 (H, W), the part at each pixel, at the photo's own size (upright).
        labels: what the numbers in it mean.
        people: persons, best first; empty where the artefact knows none.
        people_kind: "persons", or "none" where the artefact was not trained on persons.
        timings: milliseconds by step: read, place, network, restore and, with persons, people.
    """

    part_map: np.ndarray
    labels: LabelSet
    people: list[Person]
    people_kind: str
    timings: dict[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Share of the photo that each part present covers, background included, in the label set's order."""
        counts = np.bincount(self.part_map.ravel(), minlength=self.labels.num_parts)
        return {self.labels.parts[index]: float(counts[index] / counts.sum()) for index in np.flatnonzero(counts)}

    def regions(self, smallest: float = 0.001) -> list[np.ndarray]:
        """Connected regions of non-background pixels, bool (H, W) each, largest first.

        They are regions, not persons: two people who touch are one region, a hidden waist makes two of one person.

        Args:
            smallest: share of the photo below which a region is left out.
        """
        return connected_regions(self.part_map != 0, round(smallest * self.part_map.size))


class Parser:
    """A loaded artefact.

    Attributes:
        engine: what runs the network; `engine.arithmetic` says what it computes in.
        card: what the artefact says about itself.
        labels: its label set.
        geometry: how photos are fitted into its input.
    """

    def __init__(self, engine: Engine, card: Card) -> None:
        self.engine = engine
        self.card = card
        self.labels = card.labels
        self.geometry = Geometry(**card.geometry)

    @classmethod
    def load(
        cls, path: str | Path, engine: str | None = None, threads: int | None = None, arithmetic: str = "f32"
    ) -> "Parser":
        """Load an artefact: its model file or the folder that holds it, with its card.

        Args:
            path: model file or folder.
            engine: "openvino" or "onnxruntime"; None for the first of them that is installed.
            threads: CPU threads; None leaves it to the engine.
            arithmetic: "f32", or "auto" for what the engine finds fastest.

        Raises:
            FileNotFoundError: there is no such artefact.
            ArtefactError: it has no card, or not its own.
            EngineError: no engine can run it.
        """
        model = find_model(path)
        card = load_card(model)
        # TorchScript and programs compute the part map whether it is asked for or not.
        cheaper = "part_logits" in card.outputs and model.suffix in (".onnx", ".xml")
        outputs = ["part_logits" if cheaper else "part_map"]
        outputs += ["class_logits", "mask_logits"] if card.people == "persons" else []
        return cls(open_engine(model, engine, threads, arithmetic, outputs), card)

    @overload
    def __call__(self, photos: PhotoSource) -> Parsing: ...
    @overload
    def __call__(self, photos: list[PhotoSource] | tuple[PhotoSource, ...]) -> list[Parsing]: ...
    def __call__(self, photos):
        """Parse a photo, or each photo of a list.

        Args:
            photos: what `read_photo` takes, or a list of it.

        Raises:
            PhotoError: a photo cannot be read.
        """
        return [self._parse(photo) for photo in photos] if isinstance(photos, list | tuple) else self._parse(photos)

    def _parse(self, source: PhotoSource) -> Parsing:
        ticks = [time.perf_counter()]
        photo = read_photo(source)
        ticks.append(time.perf_counter())
        canvas, placement = place(photo, self.geometry)
        ticks.append(time.perf_counter())
        outputs = self.engine(canvas[None])
        ticks.append(time.perf_counter())
        part_map = restore_map(canvas_map(outputs), placement)
        ticks.append(time.perf_counter())
        found: list[Person] = []
        steps = ["read", "place", "network", "restore"]
        if self.card.people == "persons":
            found = people(outputs["class_logits"][0], outputs["mask_logits"][0], placement, self.labels.num_parts)
            steps.append("people")
            ticks.append(time.perf_counter())
        timings = dict(zip(steps, _milliseconds(ticks), strict=True))
        return Parsing(part_map, self.labels, found, self.card.people, timings)


def canvas_map(outputs: Mapping[str, np.ndarray], index: int = 0) -> np.ndarray:
    """The part map of one canvas of a batch, uint8 (h, w), from either output that an engine may give."""
    return upsampled_argmax(outputs["part_logits"][index]) if "part_logits" in outputs else outputs["part_map"][index]


def _milliseconds(ticks: Sequence[float]) -> list[float]:
    return [1000 * float(seconds) for seconds in np.diff(ticks)]
