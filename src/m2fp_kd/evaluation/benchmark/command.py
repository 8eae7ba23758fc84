"""`m2fp-kd benchmark`: speed, size, memory and mIoU of artefacts, side by side."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.command import RenamedOption, number, teaching, whole_number

HELP = """examples:
  m2fp-kd benchmark artefacts/fp32 artefacts/int8 --out out        both, in the default engine, in all cores
  m2fp-kd benchmark artefacts/* --data DIR --threads 1 2           with mIoU, at one and at two threads
  m2fp-kd benchmark artefacts/int8 --baseline m2fp/fp32            compared with an exported M2FP
  m2fp-kd benchmark artefacts/int8 --baseline 'python other.py'    compared with another program

Each artefact is measured in each engine, precision, number of threads and batch, in a process of its own, one at a
time; every round measures all of them. With --data each is scored on the held-out photos too.

A baseline is an artefact, or a command such as benchmarks/modelscope_m2fp.py that takes the options of
m2fp_kd.evaluation.speed.measure and prints a Measurement as JSON.

--out gets benchmark.html, .json, .csv and .md, and pareto.svg.

Exit code: 0 measured, 1 some could not be measured (they are named, the others are measured), 2 stopped by an error,
130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    words = "speed, size, memory and mIoU of artefacts as tables and a page"
    command = commands.add_parser("benchmark", help=words, **teaching(HELP))
    option = command.add_argument
    option("artefacts", metavar="ARTEFACT", type=Path, nargs="+", help="folders or model files")
    option("--baseline", nargs="+", default=[], help="artefacts or commands to compare with")
    names = "openvino, onnxruntime, torchscript, torch_export, executorch, litert, ncnn"
    words = f"{names}; default: the first that is installed"
    option("--engines", nargs="+", default=[None], help=words)
    option("--precision", nargs="+", choices=["f32", "auto"], default=["f32"])
    option(
        "--arithmetic",
        dest="precision",
        nargs="+",
        choices=["f32", "auto"],
        action=RenamedOption,
        help=argparse.SUPPRESS,
    )
    option("--threads", type=whole_number(1), nargs="+", help="default: all cores")
    option("--batch", type=whole_number(1), nargs="+", default=[1], help="photos in one call")
    option("--size", type=whole_number(1), default=512, help="longest side to which the photos are resized, in pixels")
    option("--photos", type=Path, help="folder of photos to parse; default: those of --data, else synthetic scenes")
    option("--data", type=Path, help="labelled photos in M2FP's layout; scores on Testing, else on Validation")
    option("--limit", type=whole_number(1), help="score on at most N photos; default: all", metavar="N")
    option("--rounds", type=whole_number(1), default=5, help="times that every artefact is measured")
    option(
        "--seconds", type=number(0, 3600), default=1.0, help="of timed calls in a round; the first call is always made"
    )
    option("--out", metavar="DIR", type=Path, help="folder for the page, tables and picture")
    command.set_defaults(run=run, extras="serve,train,compress")


def run(options: argparse.Namespace) -> int:
    """Benchmark, write the files and print the table; return 1 if any measurement failed."""
    from m2fp_kd.evaluation.benchmark.suite import run, write
    from m2fp_kd.evaluation.speed.cpu import describe_cpu

    options.threads = options.threads or [describe_cpu().cores]
    benchmark = run(options)
    if options.out:
        write(benchmark, options.out)
    print(benchmark.text)
    return int(any(row.problem for row in benchmark.rows))
