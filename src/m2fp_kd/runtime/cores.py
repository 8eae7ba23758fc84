"""The CPU cores that this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the number of cores that this process may use: its affinity, or less if containers limit its CPU time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota())))


def cpu_quota(root: Path = CGROUPS, own: Path = OWN_CGROUP) -> float:
    """Return the CPU seconds per second that cgroups (version 2, or 1) leave to this process; infinity without a limit.

    Args:
        root: folder of the cgroups.
        own: file that names this process's cgroup, a folder below `root` whose parents limit it too.
    """
    limits = [math.inf]
    with suppress(OSError, ValueError):
        quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        limits += [int(quota) / int(period)] if int(quota) > 0 else []
    with suppress(OSError):
        named = [line.removeprefix("0::/") for line in own.read_text().splitlines() if line.startswith("0::/")]
        folder = root.joinpath(*named)
        limits += [_limit(group / "cpu.max") for group in (folder, *folder.parents) if group.is_relative_to(root)]
    return min(limits)


def _limit(file: Path) -> float:
    """Return the limit in a file with quota and period, in microseconds, such as `150000 100000` or `max 100000`."""
    with suppress(OSError, ValueError):
        quota, period = file.read_text().split()
        return int(quota) / int(period)
    return math.inf
