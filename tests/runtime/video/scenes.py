"""Drawn scenes: people of three rectangles (head, body, legs) before a wall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from m2fp_kd.labels import LabelSet, distinct_colours
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.parser import Answer
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import Person
from m2fp_kd.runtime.placed import Placed

LABELS = LabelSet("drawn", ("background", "head", "body", "legs"), distinct_colours(4))
SIZE = (96, 160)
GEOMETRY = Geometry(160, fixed=True)
HEIGHT, WIDTH = 72, 24
WALL = (90, 110, 130)
RED, GREEN = (200, 40, 40), (40, 160, 60)


@dataclass(frozen=True)
class Drawn:
    """A drawn person: left column, and colours of head, body and legs."""

    left: int
    body: tuple[int, int, int] = RED
    head: tuple[int, int, int] = (220, 180, 150)
    legs: tuple[int, int, int] = (40, 40, 90)

    def onto(self, photo: np.ndarray, part_map: np.ndarray, top: int = 16) -> np.ndarray:
        """Draw the person; return the mask."""
        mask = np.zeros(part_map.shape, bool)
        columns = slice(max(0, self.left), max(0, self.left + WIDTH))
        for part, (first, last, colour) in enumerate(
            [(0, 16, self.head), (16, 44, self.body), (44, HEIGHT, self.legs)], 1
        ):
            photo[top + first : top + last, columns] = colour
            part_map[top + first : top + last, columns] = part
            mask[top + first : top + last, columns] = True
        return mask


def drawn(
    people: Sequence[Drawn], wall: tuple[int, int, int] = WALL
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Draw people, the last in front; return photo, part map and the visible masks."""
    photo, part_map = np.full((*SIZE, 3), wall, np.uint8), np.zeros(SIZE, np.uint8)
    masks: list[np.ndarray] = []
    for person in people:
        mask = person.onto(photo, part_map)
        masks = [*(other & ~mask for other in masks), mask]
    return photo, part_map, masks


def parsing(people: Sequence[Drawn], kind: str) -> Parsing:
    """Return a result for a scene: persons of whom two fifths are visible, or the connected regions."""
    photo, part_map, masks = drawn(people)
    placed = Placed.of(photo, GEOMETRY)
    persons = [Person.of(mask, 0.9) for mask in masks if mask.sum() > 0.4 * HEIGHT * WIDTH] if kind == "persons" else []
    return Parsing(photo, part_map, LABELS, kind, {}, placed.placement, {}, persons)


def answer(photo: np.ndarray, part_map: np.ndarray, sure: float = 4.0, noise: np.ndarray | None = None) -> Answer:
    """Return what a network that sees the part map answers: logits at stride 4, with noise (P, h, w)."""
    placed = Placed.of(photo, GEOMETRY)
    canvas = np.zeros(placed.canvas.shape[:2], np.uint8)
    canvas[: SIZE[0], : SIZE[1]] = part_map
    logits = sure * np.eye(len(LABELS.parts), dtype=np.float32)[canvas[2::4, 2::4]].transpose(2, 0, 1)
    return Answer(placed, {"part_logits": logits if noise is None else logits + noise}, {})
