"""The interface that every engine has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INPUT = "images"

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


class EngineError(ValueError):
    """Raised for an engine that is missing or cannot run a model; the message names the fix."""


@dataclass(frozen=True)
class Engine:
    """A loaded model, callable from any thread.

    Attributes:
        name: one of `ENGINES`.
        precision: precision of its floating-point part: "f32", or "bf16" / "f16" where the engine chose it.
        outputs: names of the outputs it computes.
        max_batch: most photos in one call; None for any number.
    """

    name: str
    precision: str
    outputs: tuple[str, ...]
    run: Run
    max_batch: int | None = None

    def __call__(self, images: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model on canvases, uint8 (N, h, w, 3), given as such or as `{"images": canvases}`."""
        return self.run(np.ascontiguousarray(images[INPUT] if isinstance(images, Mapping) else images))


def wanted_outputs(path: Path, outputs: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
    """Return the requested outputs, or all.

    Raises:
        EngineError: the model has no such output.
    """
    if missing := sorted(set(outputs or ()) - set(available)):
        raise EngineError(f"{path}: has no output {', '.join(missing)}, only {', '.join(available)}")
    return tuple(outputs or available)
