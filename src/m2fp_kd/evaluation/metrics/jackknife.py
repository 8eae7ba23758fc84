"""How sure a change in mIoU is, given how few photos it was measured on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from m2fp_kd.evaluation.metrics.miou import miou

GROUPS = 32
"""Groups that photos are dealt into: as many as make the error itself known to an eighth."""

CONFIDENCE = 0.95
"""Of `Change.most_lost`, one-sided."""


@dataclass(frozen=True)
class Change:
    """What a change in mIoU would be on other photos like these; shares (0..1) like mIoU.

    Attributes:
        value: mIoU after minus before.
        error: its standard error; None where fewer than two groups of photos have labels.
        most_lost: a loss that is not exceeded with 95 % confidence; negative if something is won even so. Without an
            error, what was lost on these photos.
    """

    value: float
    error: float | None
    most_lost: float


def miou_change(before: NDArray[np.int64], after: NDArray[np.int64]) -> Change:
    """The change in mIoU between two models on the same photos, with its error.

    mIoU is one ratio over all photos, so its error is taken from how the change moves when a group of photos is left
    out (the delete-a-group jackknife, Kott 2001), and the bound from Student's t. Photos count as independent.

    Args:
        before: ``(G, P, P)``, one model's confusion matrix of every group of photos.
        after: the other's, of the same groups.
    """
    labelled = before.any(axis=(1, 2))
    before, after = before[labelled], after[labelled]
    all_before, all_after, groups = before.sum(axis=0), after.sum(axis=0), len(before)
    value = miou(all_after) - miou(all_before)
    if groups < 2:
        return Change(value, None, -value)
    without = [
        miou(all_after - one_after) - miou(all_before - one) for one, one_after in zip(before, after, strict=True)
    ]
    error = float(np.sqrt((groups - 1) * np.var(without)))
    return Change(value, error, -value + float(stdtrit(groups - 1, CONFIDENCE)) * error)
