"""Match predictions to true instances."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NOBODY = -1


@dataclass
class Claims:
    """The true instances that predictions of one kind claim, accumulated over photos.

    Attributes:
        scores: scores of the predictions, in the order in which they were added.
        truths: true instance that each prediction overlaps most, numbered over all photos; `NOBODY` if its photo has
            none.
        overlaps: overlap with that instance, 0..1.
        count: number of true instances.
    """

    scores: list[float] = field(default_factory=list)
    truths: list[int] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    count: int = 0

    def add(self, scores: Sequence[float], overlaps: NDArray[np.float64]) -> list[int]:
        """Add a photo: the scores of its K predictions and their overlaps (K, T) with its T true instances.

        Returns:
            For each prediction the column of `overlaps` that it claims, `NOBODY` if there is none.
        """
        predictions, truths = overlaps.shape
        best = overlaps.argmax(axis=1).tolist() if truths else [NOBODY] * predictions
        self.scores += scores
        self.truths += [self.count + column if truths else NOBODY for column in best]
        self.overlaps += [float(row[column]) if truths else 0.0 for row, column in zip(overlaps, best, strict=True)]
        self.count += truths
        return best

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Return bool (N,), True for predictions that overlap the instance they claim by more than a threshold."""
        return np.array(self.overlaps) > threshold

    def hits(self, threshold: float) -> NDArray[np.bool_]:
        """Return bool (N,), True for correct predictions: for each true instance the best one above the threshold."""
        ranked = np.argsort(-np.array(self.scores), kind="stable")
        candidates = ranked[self.above(threshold)[ranked]]
        _, first = np.unique(np.array(self.truths, int)[candidates], return_index=True)
        hits = np.zeros(len(self.scores), bool)
        hits[candidates[first]] = True
        return hits
