"""Average precision, the area under a precision-recall curve."""

import numpy as np
from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, hits: ArrayLike, truths: int) -> float:
    """Return the area under the curve after raising each precision to the best one at the same or a higher recall.

    Args:
        scores: (N,), scores of the predictions; equal scores keep their order.
        hits: bool (N,), True for correct predictions.
        truths: number of true instances, at least 1.

    Returns:
        AP in 0..1, provided that at most `truths` predictions are correct.
    """
    ranked = np.asarray(hits, bool)[np.argsort(-np.asarray(scores, float), kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[ranked].sum() / truths)  # every hit is a step of 1 / truths in recall
