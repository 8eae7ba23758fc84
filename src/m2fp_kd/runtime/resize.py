"""Resize dense values bilinearly as networks do (`align_corners=False`, no antialiasing), one axis at a time.

Gathers replace matrix products, because small products wait for BLAS threads, which is slow beside a busy engine.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Taps:
    """A linear resize of one axis: every target element is a weighted sum of K source elements.

    Attributes:
        index: int64 (target, K), source elements.
        weight: float32 (target, K), summing to 1 over K.
    """

    index: np.ndarray
    weight: np.ndarray

    def __getitem__(self, part: slice) -> "Taps":
        """Return the resize to some of the target elements."""
        return Taps(self.index[part], self.weight[part])

    def then(self, second: "Taps") -> "Taps":
        """Return this resize followed by `second` as one resize."""
        target = len(second.index)
        weight = self.weight[second.index] * second.weight[..., None]
        return Taps(self.index[second.index].reshape(target, -1), weight.reshape(target, -1))

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Resize the second last axis of float32 (..., source, N)."""
        return self._blend(values, axis=-2, weights=self.weight.T[..., None])

    def columns(self, values: np.ndarray) -> np.ndarray:
        """Resize the last axis of float32 (..., source)."""
        return self._blend(values, axis=-1, weights=self.weight.T)

    def _blend(self, values: np.ndarray, axis: int, weights: np.ndarray) -> np.ndarray:
        total = np.take(values, self.index[:, 0], axis=axis)
        total *= weights[0]
        for tap in range(1, self.index.shape[1]):
            term = np.take(values, self.index[:, tap], axis=axis)
            term *= weights[tap]
            total += term
        return total


def bilinear(source: int, target: int) -> Taps:
    """Return the resize of an axis from `source` to `target` elements; border values repeat beyond the borders."""
    centres = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    below = np.floor(centres).astype(np.int64)
    above = np.minimum(below + 1, source - 1)
    fraction = (centres - below).astype(np.float32)
    return Taps(np.stack([below, above], axis=1), np.stack([1 - fraction, fraction], axis=1))
