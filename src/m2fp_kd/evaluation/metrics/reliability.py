"""Calibration: how well a model's confidence matches its accuracy (Guo et al. 2017, section 2).

Probabilities are scored at the cells of the network's stride-4 grid, against the label at the centre of each cell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import Placement

BINS = 15

Tally = NDArray[np.float64]
"""``(3, BINS)``, per confidence bin: cells, sum of confidences, correct cells. Tallies of photos may be added."""


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence, the probability of the predicted part; bins have equal width and are open on the left.

    Attributes:
        counts: scored cells per bin.
        confidence: mean confidence per bin, 0..1; None for an empty bin.
        accuracy: share of correct cells per bin, 0..1; None for an empty bin.
        ece: expected calibration error, 0..1: the bins' |accuracy - confidence|, averaged over cells (equation 3).
    """

    counts: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    ece: float


def label_at_cells(truth: NDArray[np.uint8], grid: tuple[int, ...], placement: Placement) -> NDArray[np.uint8]:
    """Return the label at the centre of every cell whose centre lies on the photo.

    Args:
        truth: uint8 (H, W), at the photo's own size.
        grid: number of cells (h, w) of the canvas.
        placement: placement of the photo on the canvas.

    Returns:
        uint8 (h', w') with h' <= h and w' <= w, the upper left of the grid.
    """
    rows, columns = (
        _source_pixels((np.arange(cells) + 0.5) * canvas / cells, content, source)
        for cells, canvas, content, source in zip(
            grid, placement.canvas, placement.content, placement.source, strict=True
        )
    )
    return truth[np.ix_(rows, columns)]


def _source_pixels(centres: NDArray[np.float64], content: int, source: int) -> NDArray[np.int64]:
    """Map positions on one axis of the canvas to pixels of the photo; leave out positions beyond the photo."""
    return (centres[centres < content] * source / content).astype(np.int64)


def tally(part_logits: NDArray[np.float32], label: NDArray[np.uint8], ignore_index: int = 255) -> Tally:
    """Count one photo's cells.

    Args:
        part_logits: (P, h, w), logits or log-probabilities.
        label: (h', w'), the upper left of the grid, see `label_at_cells`.
        ignore_index: label of the cells to leave out.
    """
    height, width = label.shape
    counted = label != ignore_index
    probabilities = softmax(part_logits[:, :height, :width][:, counted].T)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label[counted]
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return np.stack([np.bincount(bins, weights, BINS) for weights in (np.ones_like(confidence), confidence, correct)])


def reliability(total: Tally) -> Reliability | None:
    """Return the reliability from a tally over a whole data set; None if no cell was counted."""
    counts, confidence, correct = total
    if not counts.sum():
        return None
    means = [
        [value / count if count else None for value, count in zip(sums.tolist(), counts.tolist(), strict=True)]
        for sums in (confidence, correct)
    ]
    return Reliability(
        counts=counts.astype(int).tolist(),
        confidence=means[0],
        accuracy=means[1],
        ece=float(np.abs(correct - confidence).sum() / counts.sum()),
    )
