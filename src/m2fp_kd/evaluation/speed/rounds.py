"""Measure in turns, several rounds, and pool what was measured, so that a drifting machine is fair to all."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from m2fp_kd.evaluation.speed.measure import Measurement

T = TypeVar("T")


@dataclass(frozen=True)
class Pooled:
    """The measurements of one candidate over one or more rounds. None: not measured.

    Attributes:
        engine: engine that ran the network.
        precision: precision of the engine's floating-point part.
        network: height and width of the network's input.
        p50_ms: median of the calls of all rounds.
        p95_ms: 95th percentile of the calls of all rounds.
        round_p50_ms: median call of each round.
        runs: number of timed calls in all rounds.
        load_ms: as in `Measurement`, in the first round, before anything was compiled.
        first_ms: as in `Measurement`, in the first round.
        restart_ms: time from the start of a later process to its first result, median over the later rounds.
        peak_mb: as in `Measurement`, maximum over the rounds.
        inference_mb: peak minus the empty process, maximum over the rounds.
        megabytes: size on disk, 10^6 bytes.
        other_cores: as in `Measurement`, maximum over the rounds.
    """

    engine: str | None
    precision: str | None
    network: list[int] | None
    p50_ms: float
    p95_ms: float
    round_p50_ms: list[float]
    runs: int
    load_ms: float | None
    first_ms: float | None
    restart_ms: float | None
    peak_mb: float | None
    inference_mb: float | None
    megabytes: float | None
    other_cores: float | None = None


def turns(items: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield every item once a round; each round starts one item later than the round before it."""
    for start in range(rounds):
        for step in range(len(items)):
            yield items[(start + step) % len(items)]


def pool(rounds: Sequence[Measurement]) -> Pooled:
    """Pool a candidate's measurements, one or more, in the order of the rounds."""
    p50, p95 = np.percentile([time for one in rounds for time in one.times_ms], [50, 95]).tolist()
    last = rounds[-1]
    inference = [one.peak_mb - one.empty_mb for one in rounds if one.peak_mb is not None and one.empty_mb is not None]
    return Pooled(
        engine=last.engine,
        precision=last.precision,
        network=last.network,
        p50_ms=p50,
        p95_ms=p95,
        round_p50_ms=[one.p50_ms for one in rounds],
        runs=sum(one.runs for one in rounds),
        load_ms=rounds[0].load_ms,
        first_ms=rounds[0].first_ms,
        restart_ms=_over([one.first_ms for one in rounds[1:]], statistics.median),
        peak_mb=_over([one.peak_mb for one in rounds], max),
        inference_mb=_over(inference, max),
        megabytes=last.megabytes,
        other_cores=_over([one.other_cores for one in rounds], max),
    )


def _over(values: Sequence[float | None], summary: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return summary(known) if known else None
