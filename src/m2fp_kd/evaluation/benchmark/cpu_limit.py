"""Compare a network's time with the CPU's limit: the time of its MACs at the CPU's measured peak.

The peak for a number of threads and a precision is that of the fastest engine in the benchmark.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from m2fp_kd.evaluation.benchmark.candidates import Candidate
from m2fp_kd.evaluation.benchmark.comparison import Row, with_problem
from m2fp_kd.evaluation.benchmark.turns import take_turns
from m2fp_kd.evaluation.speed.macs import Macs, Peak
from m2fp_kd.evaluation.speed.process import ProcessError, run_process

Results = Mapping[str, list[Any] | ProcessError]
"""Results of `take_turns`."""


def peak_tasks(candidates: Sequence[Candidate]) -> dict[str, Callable[[], Peak]]:
    """Return tasks that measure the peak of every engine, precision and number of threads that runs an ONNX file."""
    return {_peak_of(one): partial(_measure_peak, one) for one in candidates if one.onnx}


def with_limits(candidates: Sequence[Candidate], rows: Sequence[Row], peaks: Results) -> list[Row]:
    """Add MACs and the share of the CPU's peak to the rows of ONNX files.

    Args:
        candidates: one candidate per row.
        rows: measured rows.
        peaks: results that include those of `peak_tasks`.
    """
    pairs = list(zip(candidates, rows, strict=True))
    tasks = {_macs_of(one, row): partial(_count_macs, one, row) for one, row in pairs if one.onnx and row.network}
    macs = take_turns(tasks, verb="counting")
    found = []
    for one, row in pairs:
        if _macs_of(one, row) in macs:
            alike = [other for other in candidates if (other.threads, other.precision) == (one.threads, one.precision)]
            known = [peaks[_peak_of(other)] for other in alike if _peak_of(other) in peaks]
            row = _with_limit(row, macs[_macs_of(one, row)], known)
        found.append(row)
    return found


def _with_limit(row: Row, counted: list[Macs] | ProcessError, peaks: list[list[Peak] | ProcessError]) -> Row:
    if isinstance(counted, ProcessError):
        return with_problem(row, f"the operations could not be counted: {counted.reason}")
    macs = counted[0]
    row = replace(row, gmacs=macs.total / 1e9, int8_share=macs.int8 / macs.total if macs.total else None)
    seen = [peak for rounds in peaks if isinstance(rounds, list) for peak in rounds]
    if not seen:
        reasons = {error.reason for error in peaks if isinstance(error, ProcessError)}
        return with_problem(row, f"the CPU's peak could not be measured: {'; '.join(sorted(reasons))}")
    peak = Peak(max(one.floating for one in seen), max(one.int8 for one in seen))
    return replace(row, peak=peak, limit_share=macs.least_ms(peak) / row.photo_ms if row.photo_ms else None)


def _peak_of(one: Candidate) -> str:
    return f"peak of {one.engine or 'default engine'} {one.precision}, {one.threads} threads"


def _measure_peak(one: Candidate) -> Peak:
    command = [sys.executable, "-m", "m2fp_kd.evaluation.speed.peak", f"--threads={one.threads}"]
    command += [f"--precision={one.precision}", *([f"--engine={one.engine}"] if one.engine else [])]
    return Peak(**run_process(command, "measuring the CPU's peak"))


def _macs_of(one: Candidate, row: Row) -> str:
    return f"operations of {one.name} at {row.network}"


def _count_macs(one: Candidate, row: Row) -> Macs:
    command = [
        sys.executable,
        "-m",
        "m2fp_kd.evaluation.speed.macs",
        str(one.onnx),
        "--canvas",
        *map(str, row.network or []),
    ]
    return Macs(**run_process(command, f"counting the operations of {one.name}"))
