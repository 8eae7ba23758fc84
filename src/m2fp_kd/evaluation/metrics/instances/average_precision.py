"""Average precision, the area under a precision-recall curve."""

import numpy as np
from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, hits: ArrayLike, truths: int) -> float:
    """Area under the curve after each precision was raised to the best one at the same or a higher recall.

    Args:
        scores: (N,), of the predictions; equal ones keep their order.
        hits: bool (N,), which predictions are right.
        truths: how many things there are to find, at least 1.

    Returns:
        0..1, where at most `truths` predictions are right.
    """
    ranked = np.asarray(hits, bool)[np.argsort(-np.asarray(scores, float), kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[ranked].sum() / truths)  # every hit is a step of 1 / truths in recall
