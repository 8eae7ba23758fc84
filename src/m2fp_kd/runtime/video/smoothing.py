"""Smooth part distributions over time, without trails behind what moves and without ghosts after cuts."""

import time
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE
from m2fp_kd.runtime.parser import Answer

STILL_LEVELS = 5.0
"""Change of a cell's colour, in grey levels, up to which it stands still. Its past counts less and less up to twice
this value, and not at all beyond."""

AROUND = 8
"""Cells on each side of a cell that must stand still as well, because the colours inside a dress do not show that it
moves."""

MOVING_AROUND, STILL_AROUND = 0.5, 0.9
"""Share of the cells around that stand still, up to which the past does not count, and from which it counts fully."""

SMALLEST = 1e-7
"""Probabilities below this become this before their logarithm is taken."""


class Smoother:
    """Averages each cell's part distribution with its past, exponentially, while the cell stands still.

    A cell has 4 x 4 pixels of the canvas. It remembers the mean of its distributions and the mean of its colours, taken
    over 12 x 12 pixels, which noise hardly changes. A frame whose colour differs from the remembered one resets the
    cell, so what moves away leaves nothing behind where it differs in colour from what it covered. The past counts less
    where many of the cells around move. A cell that stands still follows a change of the network's mind after
    log(0.5) / log(weight) frames at the latest: 2 at 0.6, 7 at 0.9.

    Args:
        weight: share of the past in the mean, 0 <= weight < 1.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._colours: np.ndarray | None = None
        self._distribution: np.ndarray | None = None

    def __call__(self, answer: Answer, cut: bool) -> Answer:
        """Return the answer with smoothed `part_logits`, which are then log probabilities.

        Args:
            answer: of the next frame.
            cut: forget the past; the answer of this frame is returned as it is.
        """
        start = time.perf_counter()
        logits = answer.outputs["part_logits"]
        colours, distribution = cell_colours(answer.placed.canvas), softmax(logits, axis=0)
        if cut or self._colours is None or self._distribution is None:
            self._colours, self._distribution = colours, distribution
            return answer
        past = self._past(colours)
        self._colours = colours + past[..., None] * (self._colours - colours)
        self._distribution = distribution + past * (self._distribution - distribution)
        smoothed = np.log(np.maximum(self._distribution, SMALLEST))
        own = logits - logits.max(axis=0)
        own -= np.log(np.exp(own).sum(axis=0))
        outputs = {**answer.outputs, "part_logits": np.where(past > 0, smoothed, own)}
        return replace(answer, outputs=outputs, seconds={**answer.seconds, "smooth": time.perf_counter() - start})

    def _past(self, colours: np.ndarray) -> np.ndarray:
        """Return each cell's share of the past, float32 (h, w), from its colour."""
        change = np.abs(colours - self._colours).max(axis=2)
        still = np.clip(2 - change / STILL_LEVELS, 0, 1)
        around = Image.fromarray((255 * still).astype(np.uint8)).filter(ImageFilter.BoxBlur(AROUND))
        least, enough = MOVING_AROUND, STILL_AROUND
        calm = np.clip((np.asarray(around) / 255 - least) / (enough - least), 0, 1)
        return (self.weight * still * calm).astype(np.float32)


def cell_colours(canvas: np.ndarray) -> np.ndarray:
    """Return the mean colours of 12 x 12 pixels around each cell of 4 x 4.

    Args:
        canvas: uint8 (4 h, 4 w, 3).

    Returns:
        float32 (h, w, 3), in grey levels.
    """
    cells = np.asarray(Image.fromarray(canvas).reduce(OUTPUT_STRIDE)).astype(np.float32)
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
