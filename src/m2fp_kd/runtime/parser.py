"""Turn photos into part maps and persons; command line, server, reports and gates all use `Parser`."""

import time
import warnings
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import overload

import numpy as np

from m2fp_kd.runtime.artefact import Card, find_model, load_card, load_checks
from m2fp_kd.runtime.engines import Engine, open_engine
from m2fp_kd.runtime.geometry import Geometry, PhotoSource, restore_map
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import restored_argmax, upsampled_argmax
from m2fp_kd.runtime.persons import Person, find_persons
from m2fp_kd.runtime.placed import Placed

MAX_BATCH = 8
"""Most photos in one call of the network; larger batches take more memory and are hardly faster."""


class Parser:
    """A loaded artefact.

    Attributes:
        engine: engine that runs the network, in `engine.precision`.
        card: the artefact's card.
        labels: its label set.
        geometry: how photos are resized and padded to its input.
    """

    def __init__(self, engine: Engine, card: Card) -> None:
        self.engine = engine
        self.card = card
        self.labels = card.labels
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
    ) -> "Parser":
        """Load an artefact: its model file or the folder that holds it, with its card.

        Warns, once per process, if the artefact's checks measured this engine to run INT8 slower than fp32.

        Args:
            path: model file or folder.
            engine: "openvino" or "onnxruntime"; None for the first of them that is installed.
            threads: CPU threads; None leaves it to the engine.
            precision: "f32", or "auto" for what the engine finds fastest.
            keep: keep what OpenVINO compiles in the user's cache, so that the next start is fast.
            streams: calls that run at the same time, as in `open_engine`.

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
        return cls(loaded, card)

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
            return self._parse([photos])[0]
        size = min(self.engine.max_batch or MAX_BATCH, MAX_BATCH)
        return [found for first in range(0, len(photos), size) for found in self._parse(photos[first : first + size])]

    def part_map(self, photo: PhotoSource) -> np.ndarray:
        """Return the part map of one photo, uint8 ``(H, W)``, at the photo's own size; errors as in a call."""
        return self(photo).part_map

    def _parse(self, sources: Sequence[PhotoSource | Placed]) -> list[Parsing]:
        placed = [one if isinstance(one, Placed) else Placed.of(one, self.geometry) for one in sources]
        found: list[Parsing] = []
        for _, together in groupby(placed, key=lambda one: one.placement.canvas):
            group = list(together)
            start = time.perf_counter()
            outputs = self.engine(np.stack([one.canvas for one in group]))
            network = (time.perf_counter() - start) / len(group)
            for index, one in enumerate(group):
                single = {name: values[index] for name, values in outputs.items()}
                found.append(self._found(one, single, one.seconds | {"network": network}))
        return found

    def _found(self, placed: Placed, outputs: dict[str, np.ndarray], seconds: dict[str, float]) -> Parsing:
        """Turn the network's outputs for one canvas into the result for its photo."""
        start = time.perf_counter()
        placement = placed.placement
        if "part_logits" in outputs:
            outputs["part_map"] = upsampled_argmax(outputs["part_logits"])
            part_map = restored_argmax(outputs["part_logits"], outputs["part_map"], placement)
        else:
            part_map = restore_map(outputs["part_map"], placement)
        seconds["restore"] = time.perf_counter() - start
        persons: list[Person] = []
        if self.card.people == "persons":
            persons = find_persons(outputs["class_logits"], outputs["mask_logits"], placement, self.labels.num_parts)
            seconds["people"] = time.perf_counter() - start - seconds["restore"]
        return Parsing(
            photo=placed.photo,
            part_map=part_map,
            labels=self.labels,
            people_kind="persons" if self.card.people == "persons" else "regions",
            timings={step: 1000 * value for step, value in seconds.items()},
            placement=placement,
            outputs=outputs,
            persons=persons,
        )


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=3)
