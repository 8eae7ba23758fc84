"""Models with fake networks and known results, behind the real application."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from m2fp_kd.labels import LABEL_SETS, find_translation, targets
from m2fp_kd.runtime.arrays import Box
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import Person
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.connections import Server
from m2fp_kd.serve.memory_budget import HeldBytes
from m2fp_kd.serve.models import Model
from m2fp_kd.serve.settings import Settings
from m2fp_kd.serve.worker import Worker

LABELS = LABEL_SETS["cihp"]
NETWORK_MS = {"lite": 14.0, "full": 287.0}
"""Milliseconds that the fake networks report."""

FIGURE = {
    "hair": (40, 5, 60, 15),
    "face": (42, 15, 58, 28),
    "upper-clothes": (30, 28, 70, 58),
    "pants": (34, 58, 66, 90),
    "left-shoe": (52, 90, 68, 97),
}
"""Boxes of parts (left, top, right, bottom) in hundredths of a person's place."""


def part_map(mode: str, height: int, width: int) -> np.ndarray:
    """Two people side by side, uint8 (height, width); the full model also finds a hat on the first and wider faces."""
    found = np.zeros((height, width), np.uint8)
    for place in people_boxes(height, width):
        for name, box in FIGURE.items():
            _fill(found, place, box, name)
        if mode == "full":
            _fill(found, place, (40, 15, 60, 28), "face")
    if mode == "full":
        _fill(found, people_boxes(height, width)[0], (38, 0, 62, 8), "hat")
    return found


def people_boxes(height: int, width: int) -> list[Box]:
    """Boxes of the two people in pixels."""
    return [(0, 0, width // 2, height), (width // 2, 0, width, height)]


def _fill(found: np.ndarray, place: Box, box: Box, name: str) -> None:
    left, top, right, bottom = place
    across, down = (right - left) / 100, (bottom - top) / 100
    rows = slice(top + round(down * box[1]), top + round(down * box[3]))
    columns = slice(left + round(across * box[0]), left + round(across * box[2]))
    found[rows, columns] = LABELS.parts.index(name)


def parsing(mode: str, photo: np.ndarray) -> Parsing:
    """The result of a fake model for a photo, uint8 (H, W, 3)."""
    size = photo.shape[:2]
    found = part_map(mode, *size)
    timings = {"place": 1.0, "network": NETWORK_MS[mode], "restore": 0.5}
    if mode == "lite":
        return Parsing(photo, found, LABELS, "regions", timings, Placement(size, size, size), {"part_map": found})
    canvas = np.pad(found, [(0, -side % 4) for side in size])
    logits = 4.0 * (np.arange(LABELS.num_parts)[:, None, None] == canvas[::4, ::4])
    outputs = {"part_map": canvas, "part_logits": logits}
    placement = Placement(size, size, canvas.shape)
    persons = [_person(found, box, score) for box, score in zip(people_boxes(*size), (0.9, 0.8), strict=True)]
    return Parsing(photo, found, LABELS, "persons", timings | {"people": 2.0}, placement, outputs, persons)


def _person(found: np.ndarray, box: Box, score: float) -> Person:
    mask = np.zeros(found.shape, bool)
    window = slice(box[1], box[3]), slice(box[0], box[2])
    mask[window] = found[window] > 0
    return Person(score, box, int(mask.sum()), mask.shape, np.packbits(mask[window]))


class Gate:
    """A gate in front of a fake network that holds its photos while it is shut; open at first.

    Attributes:
        reached: set once a photo has reached the gate.
    """

    def __init__(self) -> None:
        self.reached = Event()
        self._opened = Event()
        self.open = self._opened.set
        self.shut = self._opened.clear
        self.open()

    def pass_through(self) -> None:
        """Wait until the gate is open."""
        self.reached.set()
        self._opened.wait()


def made_up(*modes: str, waiting: int = 8, megabytes: float = math.inf) -> tuple[dict[str, Model], Gate]:
    """Make models with these limits on queue and memory, and the gate in front of all of them."""
    gate = Gate()

    def model(mode: str) -> Model:
        def parse(photos: list[np.ndarray]) -> list[Parsing]:
            gate.pass_through()
            return [parsing(mode, photo) for photo in photos]

        translations = {name: find_translation(LABELS, name) for name in targets(LABELS)}
        return Model(mode, _facts(mode), Worker([parse], waiting, 1, megabytes), translations)

    return {mode: model(mode) for mode in modes}, gate


def _facts(mode: str) -> dict[str, Any]:
    return {
        "id": f"made-up-{mode}",
        "mode": mode,
        "demo": False,
        "score": None,
        "title": "made up",
        "backbone": {"lite": "mobilenetv3", "full": "resnet101"}[mode],
        "head": {"lite": "fpn", "full": "m2fp"}[mode],
        "precision": {"lite": "int8", "full": "fp32"}[mode],
        "megabytes": {"lite": 3.39, "full": 253.0}[mode],
        "engine": "openvino",
        "compute_precision": "f32",
        "input": {"lite": 256, "full": 512}[mode],
        "people": {"lite": "regions", "full": "persons"}[mode],
        "licence": {"lite": None, "full": "CC BY-NC 4.0"}[mode],
        "teacher": {"lite": "M2FP, ResNet-101", "full": None}[mode],
        "probabilities": mode == "full",
        "label_sets": [LABEL_SETS[name].to_dict() for name in targets(LABELS)],
        "label_set": LABELS.to_dict(),
    }


@contextmanager
def serving(models: Mapping[str, Model], settings: Settings, device: Path | None = None) -> Iterator[str]:
    """Serve models on a free port of this machine and yield the address; `device` as in `create_app`."""
    held = HeldBytes(1e6 * settings.held_megabytes)
    server = Server(create_app(models, settings, held, device), "127.0.0.1", 0, 8, settings, held)
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.stop()
        thread.join()
        for model in models.values():
            model.worker.close()
