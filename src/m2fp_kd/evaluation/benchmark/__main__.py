"""What artefacts cost and reach, side by side: ``python -m m2fp_kd.evaluation.benchmark ARTEFACT... --out DIR``.

Every artefact in every engine, precision, number of threads and batch is measured in a clean process of its own
(`measure`), one at a time, in several rounds that each go through all of them. With labelled photos each is scored too
(`score`). Photos are resized to ``--size``; what the network sees of them is the artefact's own affair.

``--baseline`` names what to compare with: an artefact, such as an exported M2FP, or a command that measures something
else, such as ``benchmarks/modelscope_m2fp.py``. A command takes the options of `measure.measuring_options` and
prints a `measure.Measurement` as JSON.

The folder ``--out`` gets ``benchmark.html``, ``.json`` (`suite.Benchmark`), ``.csv`` and ``.md``, and ``pareto.svg``.
The exit code is 1 if anything failed; everything else is measured all the same. Needs the extras serve, train (tables,
picture, progress bar) and compress (operations of the networks, the CPU's limit).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from m2fp_kd.evaluation.benchmark.suite import run, write
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.runtime.engines import ENGINES, PRECISIONS
from m2fp_kd.runtime.geometry import PhotoError


def main(arguments: Sequence[str] | None = None) -> None:
    """Benchmark, print the table and leave with code 1 if anything failed."""
    command = argparse.ArgumentParser(
        "python -m m2fp_kd.evaluation.benchmark", description="What artefacts cost and reach."
    )
    add = command.add_argument
    add("artefacts", type=Path, nargs="+", help="folders or model files")
    add("--baseline", nargs="+", default=[], help="artefacts or commands to compare with")
    add("--engines", nargs="+", default=[None], help=f"{', '.join(ENGINES)}; default: the runtime's choice")
    add("--precision", nargs="+", choices=PRECISIONS, default=["f32"])
    add("--threads", type=_positive, nargs="+", default=[describe_cpu().cores], help="default: all cores")
    add("--batch", type=_positive, nargs="+", default=[1], help="photos in one call")
    add("--size", type=_positive, default=512, help="longest side of the photos")
    add("--photos", type=Path, help="folder of photos to parse; default: those of --data, else synthetic scenes")
    add("--data", type=Path, help="labelled photos in M2FP's layout, to score on its Testing or Validation split")
    add("--limit", type=_positive, help="score on so many of them; default: all")
    add("--rounds", type=_positive, default=5, help="measure everything so many times")
    add("--seconds", type=float, default=1.0, help="of timed calls for each in a round; the first is always made")
    add("--out", type=Path, help="folder for benchmark.html, .json, .csv, .md and pareto.svg")
    options = command.parse_args(arguments)
    try:
        benchmark = run(options)
    except (FileNotFoundError, PhotoError) as error:
        command.error(str(error))
    if options.out:
        write(benchmark, options.out)
    print(benchmark.text)
    if any(row.problem for row in benchmark.rows):
        sys.exit(1)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not '{text}'")
    return int(text)


if __name__ == "__main__":
    main()
