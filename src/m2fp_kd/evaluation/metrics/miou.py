"""Mean intersection over union (mIoU) from one confusion matrix over a whole data set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Confusion = NDArray[np.int64]


def confusion(truth: NDArray, prediction: NDArray, num_parts: int, ignore_index: int = 255) -> Confusion:
    """Count the pixels of every pair of true part and predicted part.

    Args:
        truth: integer part map, any shape, values ``0..num_parts-1`` or ``ignore_index``.
        prediction: integer part map of the same shape, values ``0..num_parts-1`` wherever the truth is not ignored.
        num_parts: P, background included.
        ignore_index: value of the truth pixels to leave out.

    Returns:
        int64 ``(P, P)``: row = true part, column = predicted part. Matrices of several photos may be added.

    Raises:
        ValueError: shapes differ, or a value is not a part.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth {truth.shape} and prediction {prediction.shape} differ in shape; "
            "restore the prediction to the label's own size first"
        )
    counted = truth != ignore_index
    rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    for name, values in (("truth", rows), ("prediction", columns)):
        outside = np.unique(values[(values < 0) | (values >= num_parts)])
        if outside.size:
            raise ValueError(f"{name} holds {outside[:5].tolist()}, but parts are 0..{num_parts - 1}")
    return np.bincount(rows * num_parts + columns, minlength=num_parts**2).reshape(num_parts, num_parts)


def iou(matrix: Confusion) -> NDArray[np.float64]:
    """Return the IoU of every part, ``(P,)`` in 0..1; NaN for a part in neither truth nor prediction."""
    hits, union = _hits_and_union(matrix)
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def miou(matrix: Confusion, parts: Sequence[int] | None = None) -> float:
    """Return the mean IoU over the parts that occur in truth or prediction; NaN if no pixel was counted.

    Args:
        matrix: ``(P, P)``.
        parts: parts to average over; None for all.
    """
    return mean_of_present(iou(matrix) if parts is None else iou(matrix)[list(parts)])


def mean_of_present(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are not NaN; NaN without such."""
    present = ~np.isnan(values)
    return float(values[present].mean()) if present.any() else float("nan")


def miou_absent_zero(matrix: Confusion) -> float:
    """Return the mean IoU as M2FP's evaluator does, absent parts counted as 0, to compare with published numbers."""
    hits, union = _hits_and_union(matrix)
    return float((hits / (union + 1e-10)).mean())


def pixel_accuracy(matrix: Confusion) -> float:
    """Return the share of the counted pixels that are correct; NaN if no pixel was counted."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def _hits_and_union(matrix: Confusion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    hits = np.diag(matrix).astype(np.float64)
    return hits, matrix.sum(axis=0) + matrix.sum(axis=1) - hits
