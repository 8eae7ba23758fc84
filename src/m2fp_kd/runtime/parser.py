"""Turn photos into part maps and persons; command line, server, reports and gates all use `Parser`."""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import overload

import numpy as np

from m2fp_kd.labels import Translation
from m2fp_kd.runtime.artefact import Card, find_model, load_card, load_checks
from m2fp_kd.runtime.engines import Engine, open_engine
from m2fp_kd.runtime.geometry import Geometry, PhotoSource, restore_map
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import restored_argmax, upsampled_argmax
from m2fp_kd.runtime.persons import Person, find_persons
from m2fp_kd.runtime.placed import Placed
from m2fp_kd.runtime.relabel import relabelled

MAX_BATCH = 8
"""Most photos in one call of the network; larger batches take more memory and are hardly faster."""


@dataclass(frozen=True)
class Answer:
    """The network's outputs for one photo.

    Attributes:
        placed: the photo on the canvas.
        outputs: output -> its values, as in `Parsing.outputs`.
        seconds: time by step: read, place, network.
    """

    placed: Placed
    outputs: Mapping[str, np.ndarray] = field(repr=False)
    seconds: Mapping[str, float]


class Parser:
    """A loaded artefact.

    Attributes:
        engine: engine that runs the network, in `engine.precision`.
        card: the artefact's card.
        labels: label set of the results: the artefact's, or that of a translation.
        geometry: how photos are resized and padded to its input.
    """

    def __init__(self, engine: Engine, card: Card, translation: Translation | None = None) -> None:
        self.engine = engine
        self.card = card
        self.labels = card.labels if translation is None else translation.target
        self._translation = translation
        self.geometry = Geometry(**card.geometry)

    @classmethod
    def load(
        cls,
        path: str | Path,
        engine: str | None = None,
        threads: int | None = None,
        precision: str = "f32",
        keep: bool = True,
        streams: int = 1,
        translation: Translation | None = None,
    ) -> "Parser":
        """Load an artefact: its model file or the folder that holds it, with its card.

        Warns, once per process, if the artefact's checks measured this engine to run INT8 slower than fp32.

        Args:
            path: model file or folder.
            engine: one of `runtime.engines.ENGINES`; None for the first one that is installed and suits the CPU.
            threads: CPU threads; None leaves it to the engine.
            precision: "f32", or "auto" for what the engine finds fastest.
            keep: keep what OpenVINO compiles in the user's cache, so that the next start is fast.
            streams: calls that run at the same time, as in `open_engine`.
            translation: translation of the results to another label set, as `find_translation(card.labels, "lip")`.

        Raises:
            FileNotFoundError: there is no such artefact.
            ArtefactError: its card is missing, broken, or describes another file.
            EngineError: no engine can run it.
        """
        model = find_model(path)
        card = load_card(model)
        outputs = ["part_logits" if "part_logits" in card.outputs else "part_map"]
        outputs += ["class_logits", "mask_logits"] if card.people == "persons" else []
        loaded = open_engine(model, engine, threads, precision, outputs, keep, streams)
        if slower := load_checks(model).slower_int8(loaded.name):
            _warn_once(f"{path}: {slower}; `m2fp-kd bench FP32 INT8 --pick` chooses the faster file")
        return cls(loaded, card, translation)

    @overload
    def __call__(self, photos: PhotoSource | Placed) -> Parsing: ...
    @overload
    def __call__(self, photos: list[PhotoSource | Placed] | tuple[PhotoSource | Placed, ...]) -> list[Parsing]: ...
    def __call__(self, photos):
        """Parse a photo or a list of photos; neighbours with the same canvas size share a call of the network.

        Args:
            photos: a source that `read_photo` takes, a photo that is placed already, or a list of them.

        Raises:
            PhotoError: a photo cannot be read.
        """
        if not isinstance(photos, list | tuple):
            return self.parsing(next(self.answers([photos])))
        size = min(self.engine.max_batch or MAX_BATCH, MAX_BATCH)
        batches = (photos[first : first + size] for first in range(0, len(photos), size))
        return [self.parsing(answer) for batch in batches for answer in self.answers(batch)]

    def part_map(self, photo: PhotoSource) -> np.ndarray:
        """Return the part map of one photo, uint8 ``(H, W)``, at the photo's own size; errors as in a call."""
        return self(photo).part_map

    def answers(self, sources: Sequence[PhotoSource | Placed]) -> Iterator[Answer]:
        """Run the network only; `parsing` completes an answer. Arguments and errors as in a call."""
        placed = [one if isinstance(one, Placed) else Placed.of(one, self.geometry) for one in sources]
        for _, together in groupby(placed, key=lambda one: one.placement.canvas):
            group = list(together)
            start = time.perf_counter()
            canvases = [one.canvas for one in group]
            outputs = self.engine(np.stack(canvases) if len(group) > 1 else canvases[0][None])
            network = (time.perf_counter() - start) / len(group)
            for index, one in enumerate(group):
                single = {name: values[index] for name, values in outputs.items()}
                yield Answer(one, single, one.seconds | {"network": network})

    def parsing(self, answer: Answer) -> Parsing:
        """Return the result for the photo of an answer."""
        start = time.perf_counter()
        placed, outputs, seconds = answer.placed, dict(answer.outputs), dict(answer.seconds)
        placement, labels = placed.placement, self.card.labels
        if "part_logits" in outputs:
            outputs["part_map"] = upsampled_argmax(outputs["part_logits"])
            part_map = restored_argmax(outputs["part_logits"], outputs["part_map"], placement)
        else:
            part_map = restore_map(outputs["part_map"], placement)
        seconds["restore"] = time.perf_counter() - start
        persons: list[Person] = []
        if self.card.people == "persons":
            persons = find_persons(outputs["class_logits"], outputs["mask_logits"], placement, labels.num_parts)
            seconds["people"] = time.perf_counter() - start - seconds["restore"]
        parsing = Parsing(
            photo=placed.photo,
            part_map=part_map,
            labels=labels,
            people_kind="persons" if self.card.people == "persons" else "regions",
            timings={step: 1000 * value for step, value in seconds.items()},
            placement=placement,
            outputs=outputs,
            persons=persons,
            licence=self.card.teacher.licence,
        )
        return parsing if self._translation is None else relabelled(parsing, self._translation)


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=3)
