"""Choose a few photos that stand for all."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def evenly_spaced(items: Sequence[T], count: int | None = None) -> list[T]:
    """Return ``count`` items with equal distances, the first and the last among them.

    All of them if there are fewer or ``count`` is None.
    """
    taken = len(items) if count is None else min(count, len(items))
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, taken)]
