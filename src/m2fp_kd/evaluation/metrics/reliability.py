"""Whether a model is as sure as it is right: the reliability of its probabilities (Guo et al. 2017, section 2).

Scored where probabilities are known, at the cells of the network's stride-4 grid, against the label at a cell's centre.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.persons import softmax

BINS = 15

Tally = NDArray[np.float64]
"""``(3, BINS)``: cells by confidence, the sum of their confidences, the right ones. Tallies of photos may be added."""


@dataclass(frozen=True)
class Reliability:
    """Accuracy by confidence, the probability of the part that is said; bins of equal width, open on the left.

    Attributes:
        counts: scored cells per bin.
        confidence: mean confidence per bin, 0..1; None where the bin is empty.
        accuracy: share of right cells per bin, 0..1; None where the bin is empty.
        ece: expected calibration error, 0..1: the mean over cells of the bins' |accuracy - confidence| (equation 3).
    """

    counts: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    ece: float


def label_at_cells(truth: NDArray[np.uint8], grid: tuple[int, ...], placement: Placement) -> NDArray[np.uint8]:
    """The label at the centre of every cell that has its centre on the photo.

    Args:
        truth: uint8 (H, W), at the photo's own size.
        grid: cells (h, w) of the canvas.
        placement: of the photo on the canvas.

    Returns:
        uint8 (h', w') with h' <= h and w' <= w, for the upper left of the grid.
    """
    rows, columns = (
        _source_pixels((np.arange(cells) + 0.5) * canvas / cells, content, source)
        for cells, canvas, content, source in zip(
            grid, placement.canvas, placement.content, placement.source, strict=True
        )
    )
    return truth[np.ix_(rows, columns)]


def _source_pixels(centres: NDArray[np.float64], content: int, source: int) -> NDArray[np.int64]:
    """Positions on the canvas' axis -> the photo's pixels there; positions beyond the photo are left out."""
    return (centres[centres < content] * source / content).astype(np.int64)


def tally(part_logits: NDArray[np.float32], label: NDArray[np.uint8], ignore_index: int = 255) -> Tally:
    """Count one photo's cells.

    Args:
        part_logits: (P, h, w); log-probabilities serve as well.
        label: (h', w'), for the upper left of the grid, see `label_at_cells`.
        ignore_index: cells with this label are left out.
    """
    height, width = label.shape
    counted = label != ignore_index
    probabilities = softmax(part_logits[:, :height, :width][:, counted].T)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label[counted]
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return np.stack([np.bincount(bins, weights, BINS) for weights in (np.ones_like(confidence), confidence, right)])


def reliability(total: Tally) -> Reliability | None:
    """What a tally over a whole set says; None if not one cell was counted."""
    counts, confidence, right = total
    if not counts.sum():
        return None
    means = [
        [value / count if count else None for value, count in zip(sums.tolist(), counts.tolist(), strict=True)]
        for sums in (confidence, right)
    ]
    return Reliability(
        counts=counts.astype(int).tolist(),
        confidence=means[0],
        accuracy=means[1],
        ece=float(np.abs(right - confidence).sum() / counts.sum()),
    )
