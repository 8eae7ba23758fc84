"""Compare installations of `m2fp-kd parse` on a folder, in turns.

    python benchmarks/parse_folder.py photos/ v0.9 HEAD                           two commits
    python benchmarks/parse_folder.py photos/ OLD/bin/python NEW/bin/python       two installations
    python benchmarks/parse_folder.py photos/ HEAD 'HEAD --write map' 'HEAD --jobs 1'
    taskset -c 0 python benchmarks/parse_folder.py photos/ v0.9 HEAD              on one core

Each variant is a commit of this repository or a Python interpreter, and options of `m2fp-kd parse`. Commits run in this
interpreter. A turn parses the folder once with each variant, and once only its first photo, whose time and CPU time are
those of the start and are subtracted. The output is a Markdown table of medians over the turns. Where other processes
use the machine, compare CPU times: clocks and shares of the cores are right on a quiet machine only.
"""

import argparse
import io
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from m2fp_kd.evaluation.speed.alone import CpuUse
from m2fp_kd.runtime.cores import usable_cores
from m2fp_kd.runtime.files import find_photos

ROOT = Path(__file__).parents[1]

COLUMNS = ("variant", "photos/s", "ms each", "CPU ms each", "% of the cores", "others' cores", "peak MB")


@dataclass(frozen=True)
class Variant:
    """A command.

    Attributes:
        name: what the user typed.
        command: start of the command line, up to the options of `parse`.
        environment: environment variables.
        options: options of `parse`.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    options: list[str]

    def run(self, sources: Sequence[Path]) -> "Cost":
        """Parse photos into a temporary folder.

        Raises:
            SystemExit: the command fails; its errors are printed.
        """
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
            command = [*self.command, *map(str, sources), "-o", f"{folder}/out", *self.options]
            start = CpuUse.now()
            process = subprocess.Popen(command, env=os.environ | self.environment, stderr=errors)
            _, status, usage = os.wait4(process.pid, 0)
            end = CpuUse.now()
            process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has taken it from Popen
            if process.returncode:
                errors.seek(0)
                raise SystemExit(f"{shlex.join(command)}: {errors.read().decode(errors='replace')}")
        cpu = usage.ru_utime + usage.ru_stime
        others = max(0.0, end.all - start.all - cpu) if start.all is not None and end.all is not None else float("nan")
        return Cost(end.wall - start.wall, cpu, others, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


@dataclass(frozen=True)
class Cost:
    """Cost of a run: seconds by the clock, CPU seconds of its own and of other processes, and peak bytes."""

    seconds: float
    cpu: float
    others: float
    peak: float

    def row(self, start: "Cost", photos: int, cores: int) -> list[float]:
        """Return the numbers of the table, without those of the start, for a number of photos after the first."""
        seconds, cpu = max(self.seconds - start.seconds, 1e-9), self.cpu - start.cpu
        share = 100 * cpu / (seconds * cores)
        return [
            photos / seconds,
            1000 * seconds / photos,
            1000 * cpu / photos,
            share,
            self.others / self.seconds,
            self.peak / 1e6,
        ]


def variant(text: str, stack: ExitStack) -> Variant:
    """Return the variant of a commit or an interpreter with options; a commit's files live as long as the stack."""
    installation, *options = shlex.split(text)
    if Path(installation).is_file():
        return Variant(text, [installation, "-m", "m2fp_kd", "parse"], {}, options)
    archive = subprocess.run(["git", "-C", ROOT, "archive", installation, "src"], capture_output=True)
    if archive.returncode:
        raise SystemExit(f"{installation}: neither a commit nor a Python interpreter")
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return Variant(text, [sys.executable, "-m", "m2fp_kd", "parse"], {"PYTHONPATH": f"{folder}/src"}, options)


def measure(folder: Path, variants: Sequence[Variant], turns: int) -> dict[str, list[float]]:
    """Return the median row of each variant.

    Raises:
        SystemExit: the folder has fewer than two photos, or a command fails.
    """
    photos = find_photos(folder)
    if len(photos) < 2:
        raise SystemExit(f"{folder}: has {len(photos)} photos; at least 2 are needed")
    rows: dict[str, list[list[float]]] = {one.name: [] for one in variants}
    for turn in range(turns + 1):
        for one in variants:
            start = one.run(photos[:1])
            if turn:  # the first turn fills OpenVINO's cache, and that of the disk
                rows[one.name].append(one.run([folder]).row(start, len(photos) - 1, usable_cores()))
            elif one is variants[0]:
                one.run([folder])
    return {name: [median(column) for column in zip(*found, strict=True)] for name, found in rows.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos")
    parser.add_argument("variants", nargs="+", metavar="COMMIT|PYTHON", help="variants, each with options of parse")
    parser.add_argument("--turns", type=int, default=5, help="(default: 5)")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with ExitStack() as stack:
        rows = measure(options.folder, [variant(text, stack) for text in options.variants], options.turns)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")
    print(f"\n{usable_cores()} cores, {options.turns} turns in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
