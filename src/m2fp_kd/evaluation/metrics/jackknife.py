"""Standard error of a change in mIoU or another score, by the delete-a-group jackknife."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from m2fp_kd.evaluation.metrics.miou import miou

GROUPS = 32
"""Number of groups that photos are dealt into; 32 groups estimate the standard error to about an eighth of itself."""

CONFIDENCE = 0.95
"""One-sided confidence of `Change.most_lost`."""


@dataclass(frozen=True)
class Change:
    """A change in a score with its uncertainty over photos; shares (0..1) like mIoU.

    Attributes:
        value: score after minus score before.
        error: standard error of the value; None if fewer than two groups of photos have labels, or one has all the
            pixels that are scored.
        most_lost: upper bound on the loss with 95 % confidence; negative if even this bound is a gain. Without an
            error, the loss on these photos.
    """

    value: float
    error: float | None
    most_lost: float


def score_change(
    before: NDArray[np.int64], after: NDArray[np.int64], score: Callable[[NDArray[np.int64]], float] = miou
) -> Change:
    """Return the change in a score between two models on the same photos, with its standard error.

    A score such as mIoU is one ratio over all photos, so the error is estimated from the changes that remain when one
    group of photos is left out (the delete-a-group jackknife, Kott 2001), and the bound from Student's t. Photos are
    assumed to be independent.

    Args:
        before: the first model's confusion matrix for each group of photos, ``(G, P, P)``, or other counts.
        after: the second model's, for the same groups.
        score: returns the score of counts summed over photos.
    """
    labelled = before.any(axis=(1, 2))
    before, after = before[labelled], after[labelled]
    all_before, all_after, groups = before.sum(axis=0), after.sum(axis=0), len(before)
    value = score(all_after) - score(all_before)
    if groups < 2:
        return Change(value, None, -value)
    without = [
        score(all_after - one_after) - score(all_before - one) for one, one_after in zip(before, after, strict=True)
    ]
    error = float(np.sqrt((groups - 1) * np.var(without)))
    if np.isnan(error):  # without one of the groups there is no score
        return Change(value, None, -value)
    return Change(value, error, -value + float(stdtrit(groups - 1, CONFIDENCE)) * error)
