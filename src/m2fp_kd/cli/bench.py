"""`m2fp-kd bench`: time, size, memory and scores of artefacts on this machine."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2fp_kd import DEMO
from m2fp_kd.cli.options import add_threads
from m2fp_kd.command import teaching, whole_number
from m2fp_kd.versions import install_hint

if TYPE_CHECKING:
    from m2fp_kd.evaluation.speed.measure import Measurement

HELP = """examples:
  m2fp-kd bench artefacts/fp32 artefacts/int8              both, in every installed engine that runs them
  m2fp-kd bench artefacts/* --photos photos/ --threads 1   on your photos, with one thread
  m2fp-kd bench artefacts/* --data DIR                     with mIoU, and agreement with the first artefact
  m2fp-kd bench artefacts/int8 --json > bench.json         for programs
  m2fp-kd parse $(m2fp-kd bench artefacts/fp32 artefacts/int8 --pick) photos/    parse with the fastest

Each artefact is measured three times in each engine, in turns, in a process of its own. The columns:
  ms, p95   median and 95th percentile of the time of a photo, from pixels to the part map
  first     time from the start of the process to the first result, ms
  MB        size on disk
  memory    peak memory of the process, MB
With --data, each is scored on the held-out photos of a data set too:
  mIoU      mean IoU against the labels, %
  agree     pixels on which its part maps are those of the first artefact in its first engine, %
A warning names every engine that runs INT8 slower than fp32, as ONNX Runtime does on a CPU without VNNI.

Exit code: 0 measured, 2 an artefact or engine cannot be used, 130 interrupted."""

ROUNDS = 3
RUNS = 50
SECONDS = 1.0
"""Timed calls in each round take at most this long."""


@dataclass(frozen=True)
class Timed:
    """An artefact in an engine, measured over all rounds.

    Attributes:
        artefact: path as given on the command line.
        weights: precision of the file's weights, "fp32" or "int8".
        engine: name of the engine.
        precision: precision of the engine's floating-point part, "f32" or "bf16".
        p50_ms: median time of a photo.
        p95_ms: 95th percentile of the time of a photo.
        first_ms: time from the start of a process to its first result, where an earlier one has compiled the model.
        peak_mb: peak memory of a process, 10^6 bytes.
        megabytes: size on disk, 10^6 bytes.
        miou: mIoU on labelled photos, 0..1; None without `--data`.
        agreement: share of pixels, 0..1, that have the part which the first artefact gives them; None without `--data`.
    """

    artefact: str
    weights: str
    engine: str
    precision: str
    p50_ms: float
    p95_ms: float
    first_ms: float
    peak_mb: float
    megabytes: float
    miou: float | None = None
    agreement: float | None = None


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("bench", help="speed, size, memory and mIoU on this machine", **teaching(HELP))
    command.add_argument("artefacts", metavar="ARTEFACT", type=Path, nargs="*", default=[DEMO])
    command.add_argument("--photos", metavar="PHOTO|FOLDER", type=Path, nargs="+", default=[], help="default: noise")
    command.add_argument("--data", metavar="DIR", type=Path, help="labelled photos in M2FP's layout, to score on")
    command.add_argument("--limit", metavar="N", type=whole_number(1), help="score on at most N photos; default: all")
    add_threads(command)
    command.add_argument("--pick", action="store_true", help="print only the options that name the fastest")
    command.add_argument("--json", action="store_true", help="print everything as JSON")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Measure every artefact; print a table, JSON, or the options that name the fastest."""
    if options.limit and not options.data:
        raise ValueError("--limit is the number of photos of --data DIR, which is missing")
    if options.data:
        options.extras = "serve,train"
        from m2fp_kd.evaluation.benchmark.score import count_photos

        count_photos(options.data, options.limit)  # raises before anything is measured
    rows = measured(options.artefacts, options.photos, options.threads)
    if options.data:
        rows = scored(rows, options.data, options.threads, options.limit)
    rows.sort(key=lambda row: row.p50_ms)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    elif options.pick:
        print(f"--artefact {rows[0].artefact} --engine {rows[0].engine}")
    else:
        scores = f" {'mIoU':>6} {'agree':>6}" if options.data else ""
        print(f"{'ms':>8} {'p95':>8} {'first':>7} {'MB':>7} {'memory':>7}{scores}  artefact")
        for row in rows:
            print(_line(row))
    for line in slower_int8(rows):
        print(line, file=sys.stderr)
    return 0


def measured(artefacts: list[Path], photos: list[Path], threads: int | None) -> list[Timed]:
    """Measure every artefact in every installed engine that runs it.

    Args:
        artefacts: model files or their folders.
        photos: photos or folders of photos; empty for one synthetic photo.
        threads: CPU threads; None leaves the number to the engine.

    Raises:
        FileNotFoundError, ArtefactError: an artefact is missing or cannot be used.
        ValueError: no installed engine runs any of the artefacts, or a measurement failed.
    """
    from m2fp_kd.evaluation.speed.measure import measure
    from m2fp_kd.evaluation.speed.process import ProcessError
    from m2fp_kd.evaluation.speed.rounds import pool, turns
    from m2fp_kd.runtime.artefact import find_model, load_card
    from m2fp_kd.runtime.engines import engines_for

    for path in photos:
        if not path.exists():
            raise FileNotFoundError(f"--photos {path}: no such photo or folder")
    cards = {path: load_card(find_model(path)) for path in artefacts}
    able = [(path, engine) for path in artefacts for engine in engines_for(find_model(path))]
    if not able:
        raise ValueError(f"no engine for these artefacts is installed: {install_hint('serve')}")
    taken: dict[tuple[Path, str], list[Measurement]] = {pair: [] for pair in able}
    for path, engine in turns(able, ROUNDS):
        try:
            one = measure(path, photos, RUNS, threads, engine, seconds=SECONDS, keep=True)
        except ProcessError as error:
            raise ValueError(f"{path} in {engine}: {error.reason}") from error
        taken[path, engine].append(one)
    pooled = {pair: pool(rounds) for pair, rounds in taken.items()}
    return [
        Timed(
            str(path),
            cards[path].precision,
            engine,
            str(one.precision),
            one.p50_ms,
            one.p95_ms,
            one.restart_ms or one.first_ms or 0,
            one.peak_mb or 0,
            one.megabytes or 0,
        )
        for (path, engine), one in pooled.items()
    ]


def scored(rows: list[Timed], data: Path, threads: int | None, limit: int | None) -> list[Timed]:
    """Score rows on the held-out photos of a data set, each in a process of its own.

    Args:
        rows: measured artefacts; the others are compared with the first.
        data: data set in M2FP's layout.
        threads: CPU threads; None leaves the number to the engine.
        limit: maximum number of photos; None for all.

    Raises:
        ValueError: the scoring failed, as for labels outside an artefact's label set.
    """
    from m2fp_kd.evaluation.benchmark.score import Settings, agreement, score_in_process
    from m2fp_kd.evaluation.speed.process import ProcessError

    found = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.npy" for index in range(len(rows))]
        for row, file in zip(rows, files, strict=True):
            settings = Settings(row.engine, threads, limit=limit, part_maps=file)
            try:
                miou = score_in_process(Path(row.artefact), data, settings)["miou"]
            except ProcessError as error:
                raise ValueError(f"{row.artefact} in {row.engine} was not scored: {error.reason}") from error
            found.append(replace(row, miou=miou, agreement=agreement(file, files[0])))
            if file != files[0]:
                file.unlink()
    return found


def _line(row: Timed) -> str:
    cells = f"{row.p50_ms:8.1f} {row.p95_ms:8.1f} {row.first_ms:7.0f} {row.megabytes:7.2f} {row.peak_mb:7.0f}"
    if row.miou is not None and row.agreement is not None:
        cells += f" {100 * row.miou:6.2f} {100 * row.agreement:6.2f}"
    return f"{cells}  {row.artefact} ({row.engine}, {row.precision})"


def slower_int8(rows: list[Timed]) -> list[str]:
    """Return a warning for each engine in which the fastest INT8 artefact is slower than the fastest fp32 one."""
    sentences = []
    for engine in dict.fromkeys(row.engine for row in rows):
        times: dict[str, list[float]] = {"fp32": [], "int8": []}
        for row in rows:
            if row.engine == engine:
                times[row.weights].append(row.p50_ms)
        if all(times.values()) and (int8 := min(times["int8"])) > (fp32 := min(times["fp32"])):
            sentences.append(f"{engine} runs INT8 slower than fp32 on this machine: {int8:.1f} ms and {fp32:.1f} ms")
    return sentences
