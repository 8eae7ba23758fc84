"""A model's labels of one photo, and what gives them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from m2fp_kd.labels import LabelSet


@dataclass(frozen=True)
class Answer:
    """Labels of one photo at its own size.

    Attributes:
        part_map: uint8 (H, W), the most probable part.
        confidence: float32 (H, W), the probability of that part, 0..1.
        persons: uint8 (H, W), person ids, 0 outside persons; None where persons were not asked for.
    """

    part_map: np.ndarray
    confidence: np.ndarray
    persons: np.ndarray | None = None

    def labels(self, least: float, ignore_index: int) -> np.ndarray:
        """Return the part map with `ignore_index` where the confidence is below `least`."""
        return np.where(self.confidence < least, np.uint8(ignore_index), self.part_map)


class Labeller(Protocol):
    """A model that labels photos.

    Attributes:
        labels: label set of the answers.
        model: facts about the model: name, licence and data for people; all others change its answers.
    """

    labels: LabelSet
    model: dict[str, Any]

    def __call__(self, photo: np.ndarray) -> Answer:
        """Label a photo, uint8 (H, W, 3)."""
