"""Measure how much faster two workers of `m2fp-kd parse --ray local` are than one, in turns.

    python benchmarks/ray_pool.py photos/
    python benchmarks/ray_pool.py photos/ -a ARTEFACT --workers 4 --turns 5

Each worker has one thread and one core. The first quarter of the photos is not counted, so that the start of the
cluster and of its workers is left out. Needs the extra `ray`, and at least as many cores as workers, which nothing else
uses.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from m2fp_kd import DEMO
from m2fp_kd.runtime.cores import usable_cores


def photos_per_second(folder: Path, artefact: Path, workers: int) -> float:
    """Return the photos that a cluster of this machine parses in a second, part maps only, once all workers run.

    Raises:
        SystemExit: the command fails; its errors are printed.
    """
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "m2fp_kd", "parse", str(folder), "-a", str(artefact), "-o", output]
        command += ["--write", "map", "--json", "--ray", "local", "--jobs", str(workers)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout and process.stderr
            times = [time.monotonic() for _ in process.stdout]
            errors = process.stderr.read()
    if process.returncode or len(times) < 2:
        raise SystemExit(errors)
    start = len(times) // 4
    return (len(times) - 1 - start) / (times[-1] - times[start])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a row for each turn, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos, a few hundred at least")
    parser.add_argument("-a", "--artefact", type=Path, default=DEMO, help="(default: the demo)")
    parser.add_argument("--workers", type=int, default=2, help="(default: 2)")
    parser.add_argument("--turns", type=int, default=3, help="(default: 3)")
    options = parser.parse_args(arguments)
    ratios = []
    print(f"| turn | photos/s, 1 worker | photos/s, {options.workers} workers | ratio |\n|---|---|---|---|", flush=True)
    for turn in range(1, options.turns + 1):
        one, several = (photos_per_second(options.folder, options.artefact, count) for count in (1, options.workers))
        ratios.append(several / one)
        print(f"| {turn} | {one:.1f} | {several:.1f} | {ratios[-1]:.2f} |", flush=True)
    print(f"\nmedian ratio {median(ratios):.2f}; {usable_cores()} cores, one thread a worker, part maps only")


if __name__ == "__main__":
    main()
