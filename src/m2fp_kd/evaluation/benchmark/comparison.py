"""Rows of a benchmark: the measurements of each candidate, and comparisons with the baselines and among each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from m2fp_kd.evaluation.report.pareto import front
from m2fp_kd.evaluation.speed.macs import Peak
from m2fp_kd.evaluation.speed.measure import Measurement
from m2fp_kd.evaluation.speed.rounds import pool


@dataclass(frozen=True)
class Compared:
    """Comparison with a baseline: factor by which the row is faster, shares of the baseline's disk size and memory."""

    faster: float | None = None
    disk_share: float | None = None
    memory_share: float | None = None


@dataclass(frozen=True)
class Row:
    """One candidate: an artefact in an engine with a precision, a number of threads and a batch. None: not measured.

    Attributes:
        name: name of the artefact or baseline.
        baseline: whether the others are compared with it.
        engine: engine that ran it, or the requested engine if nothing was measured.
        precision: precision of the engine's floating-point part, or the requested one if nothing was measured.
        threads: number of CPU threads.
        batch: number of photos in one call.
        network: height and width of the network's input.
        p50_ms: as in `Pooled`, as are all fields up to `other_cores`.
        miou: mIoU on labelled photos, 0..1, and with it mean boundary IoU and boundary F.
        absent: the artefact's parts that the labels never name.
        gmacs: 10^9 multiply-accumulates of the network for one photo.
        int8_share: share of the MACs that are INT8, 0..1.
        peak: peak MACs per second of the CPU with the same number of threads and requested precision.
        limit_share: time that the MACs take at that peak, as a share of the time of a photo, 0..1.
        on_front: whether no other row with the same threads and batch is both faster and better (higher mIoU, or
            smaller on disk).
        compared: baseline -> comparison.
        problem: description of what went wrong.
    """

    name: str
    baseline: bool
    engine: str | None
    precision: str | None
    threads: int
    batch: int
    network: list[int] | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    round_p50_ms: list[float] = field(default_factory=list)
    runs: int | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    restart_ms: float | None = None
    peak_mb: float | None = None
    inference_mb: float | None = None
    megabytes: float | None = None
    other_cores: float | None = None
    miou: float | None = None
    boundary_iou: float | None = None
    boundary_f: float | None = None
    absent: list[str] = field(default_factory=list)
    gmacs: float | None = None
    int8_share: float | None = None
    peak: Peak | None = None
    limit_share: float | None = None
    on_front: bool = False
    compared: dict[str, Compared] = field(default_factory=dict)
    problem: str | None = None

    @property
    def photo_ms(self) -> float | None:
        """Milliseconds per photo of the batch."""
        return None if self.p50_ms is None else self.p50_ms / self.batch

    @property
    def photos_per_second(self) -> float | None:
        """Photos per second."""
        return None if self.photo_ms is None else 1000 / self.photo_ms


def measured(row: Row, rounds: Sequence[Measurement]) -> Row:
    """Return a row with its measurements of one or more rounds."""
    return replace(row, **vars(pool(rounds)))


def with_problem(row: Row, problem: str) -> Row:
    """Return a row with one more problem."""
    return replace(row, problem=f"{row.problem}; {problem}" if row.problem else problem)


def compare(rows: Sequence[Row]) -> list[Row]:
    """Compare every measured row with each baseline's fastest row that has the same number of threads.

    A baseline gets its best engine, precision and batch, because that is what a careful user would run instead.
    """
    slowest_first = sorted((row for row in rows if row.baseline), key=_photo_ms, reverse=True)
    best = {(row.name, row.threads): row for row in slowest_first if row.photo_ms is not None}
    return [
        replace(
            row,
            compared={
                name: _against(row, best[name, row.threads]) for name in baselines(rows) if (name, row.threads) in best
            },
        )
        if row.photo_ms is not None
        else row
        for row in rows
    ]


def mark_front(rows: Sequence[Row]) -> list[Row]:
    """Set `on_front` of the rows, by mIoU if any row has one, else by size on disk."""
    marked, by_miou = list(rows), scored(rows)
    for group in {(row.threads, row.batch) for row in rows}:
        costs = {index: _costs(row, by_miou) for index, row in enumerate(rows) if (row.threads, row.batch) == group}
        known = {index: cost for index, cost in costs.items() if cost is not None}
        for chosen in front(list(known.values())):
            index = list(known)[chosen]
            marked[index] = replace(rows[index], on_front=True)
    return marked


def scored(rows: Sequence[Row]) -> bool:
    """Return whether any row has an mIoU."""
    return any(row.miou is not None for row in rows)


def fastest(rows: Sequence[Row]) -> Row | None:
    """Return the row with the least time per photo, without baselines; None if none was measured."""
    able = [row for row in rows if row.photo_ms is not None and not row.baseline]
    return min(able, key=_photo_ms, default=None)


def drift(rows: Sequence[Row]) -> float:
    """Return the largest ratio of a row's slowest round to its fastest one; 1 for a steady machine."""
    return max((max(row.round_p50_ms) / min(row.round_p50_ms) for row in rows if row.round_p50_ms), default=1.0)


def baselines(rows: Sequence[Row]) -> list[str]:
    """Return the names of the baselines, in the order of the rows."""
    return list(dict.fromkeys(row.name for row in rows if row.baseline))


def _photo_ms(row: Row) -> float:
    """Return the time per photo for sorting; rows that were not measured come last."""
    return math.inf if row.photo_ms is None else row.photo_ms


def _costs(row: Row, by_miou: bool) -> tuple[float, float] | None:
    """Return time and negative mIoU, or time and size on disk; None if one of them is unknown."""
    second = row.miou if by_miou else row.megabytes
    return None if row.photo_ms is None or second is None else (row.photo_ms, -second if by_miou else second)


def _against(row: Row, baseline: Row) -> Compared:
    return Compared(
        faster=_photo_ms(baseline) / _photo_ms(row),
        disk_share=_share(row.megabytes, baseline.megabytes),
        memory_share=_share(row.peak_mb, baseline.peak_mb),
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
