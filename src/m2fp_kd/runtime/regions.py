"""Connected regions of a mask, without SciPy: runs of each row, joined where they touch those of the row above."""

import numpy as np


def connected_regions(mask: np.ndarray, smallest: int = 1) -> list[np.ndarray]:
    """The 4-connected regions of a bool (H, W) mask that have at least `smallest` pixels, largest first."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    lengths = ends - starts
    region_of_run = _join(rows, starts, ends, mask.shape[1])
    sizes = np.bincount(region_of_run, lengths)
    labels = np.full(mask.shape, -1, np.int64)
    labels[mask] = np.repeat(region_of_run, lengths)
    largest_first = np.argsort(-sizes, kind="stable")
    return [labels == region for region in largest_first if sizes[region] >= max(smallest, 1)]


def _join(rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, width: int) -> np.ndarray:
    """The region of each run; runs are in reading order, a run's region is named by its first run."""
    # The runs above that touch a run follow one another: from the first that ends behind its start to the last that
    # starts before its end.
    stride = width + 1
    above = (rows - 1) * stride
    first = np.searchsorted(rows * stride + ends, above + starts, side="right")
    last = np.searchsorted(rows * stride + starts, above + ends, side="left")
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    for run, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for other in range(low, high):
            a, b = root(run), root(other)
            parent[max(a, b)] = min(a, b)
    return np.array([root(run) for run in range(len(rows))], np.int64)
