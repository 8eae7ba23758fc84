"""Small functions on arrays: probabilities of logits, and boxes around masks."""

import numpy as np

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two exclusive."""


def bounding_box(mask: np.ndarray) -> Box:
    """Return the smallest box around a non-empty mask, bool (H, W)."""
    (left, right), (top, bottom) = span(mask.any(axis=0)), span(mask.any(axis=1))
    return left, top, right, bottom


def span(flags: np.ndarray | np.bool) -> tuple[int, int]:
    """Return the index of the first true element of bool (N,), and one past that of the last."""
    indices = np.flatnonzero(flags)
    return int(indices[0]), int(indices[-1]) + 1


def softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """Softmax over an axis, float32."""
    shifted = np.exp(logits.astype(np.float32) - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, float32, without overflow."""
    values = np.negative(logits, dtype=np.float32)
    np.exp(np.minimum(values, 80, out=values), out=values)
    values += 1
    return np.reciprocal(values, out=values)
