"""Find out whether rings cross or touch themselves or each other."""

from collections.abc import Iterator, Sequence

import numpy as np

PAIRS_AT_ONCE = 1 << 18
"""Pairs of edges that are compared at a time."""


def cross_themselves(rings: Sequence[np.ndarray]) -> bool:
    """Return whether edges of rings, int (N, 2) each, meet elsewhere than at corners that they share.

    Two edges of one ring may share only the corner between them. Edges of two rings may share a corner.
    """
    start = np.concatenate(rings).astype(np.int64)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]).astype(np.int64)
    sizes = np.array([len(ring) for ring in rings])
    ring = np.repeat(np.arange(len(rings)), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    number = np.arange(len(start))
    ahead = np.where(number + 1 - first < sizes[ring], number + 1, first)
    for one, other in _near(start, end):
        neighbours = (ahead[one] == other) | (ahead[other] == one)
        shared = (ring[one] != ring[other]) & _share_corner(start, end, one, other)
        if (~neighbours & ~shared & _meet(start[one], end[one], start[other], end[other])).any():
            return True
    return _folds_back(start, end, ahead)


def _near(start: np.ndarray, end: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of edges whose ranges of x meet, many at a time."""
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    order = np.argsort(low, kind="stable")
    count = np.searchsorted(low[order], high[order], side="right") - np.arange(len(order)) - 1
    total = np.cumsum(count)
    begin = 0
    while begin < len(order):
        done = int(total[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(total, done + PAIRS_AT_ONCE, side="right")))
        some = np.arange(begin, stop)
        one = np.repeat(some, count[some])
        within = np.arange(len(one)) - np.repeat(np.cumsum(count[some]) - count[some], count[some])
        yield order[one], order[one + 1 + within]
        begin = stop


def _share_corner(start: np.ndarray, end: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    corners = [(start[one], start[other]), (start[one], end[other]), (end[one], start[other]), (end[one], end[other])]
    return np.any([(first == second).all(axis=1) for first, second in corners], axis=0)


def _meet(start: np.ndarray, end: np.ndarray, from_: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Return whether edges (N, 2) have a point in common, bool (N,)."""
    overlap = (np.minimum(start, end) <= np.maximum(from_, to)) & (np.minimum(from_, to) <= np.maximum(start, end))
    sides = _side(start, end, from_) * _side(start, end, to) <= 0
    return overlap.all(axis=1) & sides & (_side(from_, to, start) * _side(from_, to, end) <= 0)


def _side(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return on which side of a line a point lies: -1, 0 or 1."""
    along, towards = end - start, point - start
    return np.sign(along[:, 0] * towards[:, 1] - along[:, 1] * towards[:, 0])


def _folds_back(start: np.ndarray, end: np.ndarray, ahead: np.ndarray) -> bool:
    """Return whether an edge runs back along the one before it."""
    along, following = end - start, (end - start)[ahead]
    straight = along[:, 0] * following[:, 1] == along[:, 1] * following[:, 0]
    return bool((straight & ((along * following).sum(axis=1) < 0)).any())
