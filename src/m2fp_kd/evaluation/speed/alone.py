"""Measure one thing at a time on a machine, and tell how much other processes disturbed it."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

STAT = Path("/proc/stat")
BUSY = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Fields of the first line of `STAT`, in order, in ticks of all cores."""


@dataclass(frozen=True)
class CpuUse:
    """CPU time used up to a moment, in seconds.

    Attributes:
        wall: time of the moment.
        own: by this process.
        all: by all processes of the machine; None where the system does not tell.
    """

    wall: float
    own: float
    all: float | None

    @classmethod
    def now(cls) -> Self:
        """Return the use so far."""
        return cls(time.perf_counter(), time.process_time(), _machine_seconds())

    def other_cores(self, later: "CpuUse") -> float | None:
        """Return the mean number of cores that other processes used between two moments; None where unknown."""
        if self.all is None or later.all is None or later.wall <= self.wall:
            return None
        return max(0.0, (later.all - self.all) - (later.own - self.own)) / (later.wall - self.wall)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other run of this user measures; the runs of a parallel sweep take turns."""
    path = Path(tempfile.gettempdir()) / f"m2fp-kd-measuring-{os.getuid()}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _machine_seconds() -> float | None:
    if not STAT.is_file():
        return None
    ticks = dict(zip(BUSY, map(int, STAT.read_text().split("\n", 1)[0].split()[1:]), strict=False))
    return sum(value for name, value in ticks.items() if name not in ("idle", "iowait")) / os.sysconf("SC_CLK_TCK")
