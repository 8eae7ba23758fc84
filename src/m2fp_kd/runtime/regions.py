"""Find boxes, sizes and connected regions from runs of equal values along rows, without SciPy and without masks."""

from dataclasses import dataclass, field

import numpy as np

from m2fp_kd.runtime.arrays import Box


@dataclass(frozen=True)
class Runs:
    """Runs of equal values along the rows of a map, in reading order; int64 (N,) each.

    Attributes:
        row: row of each run.
        start: first column.
        end: one past the last column.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Runs":
        """Return the runs of a map (H, W)."""
        begins = np.ones(values.shape, bool)
        np.not_equal(values[:, 1:], values[:, :-1], out=begins[:, 1:])
        first = np.flatnonzero(begins)
        row, start = np.divmod(first, values.shape[1])
        return cls(row, start, start + np.diff(first, append=values.size))

    def __getitem__(self, chosen: np.ndarray) -> "Runs":
        """Return the chosen runs."""
        return Runs(self.row[chosen], self.start[chosen], self.end[chosen])

    @property
    def length(self) -> np.ndarray:
        """Pixels of each run."""
        return self.end - self.start

    def places(self, group: np.ndarray) -> list[tuple[int, int, Box]]:
        """Return number, pixels and smallest box of every group; `group`, int (N,), gives each run's group."""
        order = np.argsort(group, kind="stable")
        numbers, first = np.unique(group[order], return_index=True)
        if not len(numbers):
            return []
        row, start, end = self.row[order], self.start[order], self.end[order]
        columns = (
            numbers,
            np.add.reduceat(end - start, first),
            np.minimum.reduceat(start, first),
            np.minimum.reduceat(row, first),
            np.maximum.reduceat(end, first),
            np.maximum.reduceat(row, first) + 1,
        )
        found = np.stack(columns, axis=1).tolist()
        return [(number, area, (left, top, right, bottom)) for number, area, left, top, right, bottom in found]


@dataclass(frozen=True)
class Region:
    """A connected region.

    Attributes:
        area: number of pixels.
        box: the smallest box around it.
        runs: runs that it consists of.
        size: (H, W) of the map.
        score: always None; a `Person` has a score.
    """

    area: int
    box: Box
    runs: Runs = field(repr=False)
    size: tuple[int, int]
    score: None = None

    @property
    def mask(self) -> np.ndarray:
        """Pixels of the region in its map, bool (H, W)."""
        edges = np.zeros((self.size[0], self.size[1] + 1), np.int8)
        edges[self.runs.row, self.runs.start] = 1
        edges[self.runs.row, self.runs.end] = -1
        return np.cumsum(edges, axis=1, dtype=np.int8)[:, :-1].astype(bool)


def connected_regions(mask: np.ndarray, smallest: int = 1) -> list[Region]:
    """Return the 4-connected regions of a bool (H, W) mask that have at least `smallest` pixels, largest first."""
    runs, region = _labelled(mask)
    height, width = mask.shape
    large = np.bincount(region, runs.length)[region] >= smallest
    runs, region = runs[large], region[large]
    found = [Region(area, box, runs[region == number], (height, width)) for number, area, box in runs.places(region)]
    return sorted(found, key=lambda one: -one.area)


def region_at(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return numbers of the 4-connected regions of a bool (H, W) mask that pixels of it, int (N, 2), belong to."""
    runs, region = _labelled(mask)
    stride = mask.shape[1]
    place = pixels[:, 0] * stride + pixels[:, 1]
    return region[np.searchsorted(runs.row * stride + runs.start, place, side="right") - 1]


def _labelled(mask: np.ndarray) -> tuple[Runs, np.ndarray]:
    """Return the runs of a mask's pixels, and the region of each."""
    runs = Runs.of(mask)
    runs = runs[mask[runs.row, runs.start]]
    return runs, _join(runs, mask.shape[1])


def _join(runs: Runs, width: int) -> np.ndarray:
    """Return the region of each run of a mask, numbered by its first run.

    Every pass handles all pairs of touching runs at once: it links the later of two regions to the earlier, then every
    run to its region's first run, until both runs of every pair have one region (algorithm S in Liu and Tarjan, "Simple
    Concurrent Labeling Algorithms for Connected Components", https://arxiv.org/abs/1812.06177).
    """
    # The runs in the row above that touch a run are consecutive: from the first that ends after its start to the last
    # that starts before its end.
    stride = width + 1
    above = (runs.row - 1) * stride
    first = np.searchsorted(runs.row * stride + runs.end, above + runs.start, side="right")
    touching = np.searchsorted(runs.row * stride + runs.start, above + runs.end, side="left") - first
    region = np.arange(len(first))
    below = np.repeat(region, touching)
    upper = np.arange(len(below)) + np.repeat(first - np.cumsum(touching) + touching, touching)
    while len(below):
        one, other = region[below], region[upper]
        np.minimum.at(region, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(region, further := region[region]):
            region = further
        apart = region[below] != region[upper]
        below, upper = below[apart], upper[apart]
    return region
