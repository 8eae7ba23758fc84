"""Measure time, size and memory of an artefact in a clean process.

Run ``python -m m2fp_kd.evaluation.speed.measure ARTEFACT``.

A training process holds PyTorch, its thread pools and gigabytes of memory; a server does not. Therefore `measure`
starts this module as a process of its own, which imports only the runtime, and reads the JSON that it prints. Any other
model is measured the same way by a program that takes the options of `measuring_options`, passes a loading function to
`measure_here` and prints the result, as `benchmarks/modelscope_m2fp.py` does.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.speed.alone import CpuUse, one_at_a_time
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.evaluation.speed.memory import memory_mb
from m2fp_kd.evaluation.speed.process import ProcessError, run_process
from m2fp_kd.runtime.artefact import find_model
from m2fp_kd.runtime.files import find_photos, megabytes
from m2fp_kd.runtime.geometry import place, read_photo
from m2fp_kd.runtime.parser import Parser

ParseTimed = Callable[[NDArray[np.uint8]], object]
"""Function of one photo, uint8 (H, W, 3) RGB."""

WARM_UP = 5
MOST_PHOTOS = 16


@dataclass(frozen=True)
class Measurement:
    """Cost of one photo, from decoded pixels to the part map at the photo's own size. None: not measured.

    Attributes:
        p50_ms: median over the runs, in ms; with a batch, time of the whole batch.
        p95_ms: 95th percentile over the runs, in ms.
        runs: number of timed calls, after a few untimed ones.
        photos: description of the photos.
        threads: number of CPU threads requested; None if left to the engine.
        engine: engine that ran the network.
        precision: precision of the engine's floating-point part: "f32", "bf16", ...
        cpu: description of the CPU.
        megabytes: size of the model's file(s), 10^6 bytes.
        load_ms: time from the path to a ready parser.
        first_ms: time from the start of the process to the first result, including reading the photo from disk.
        peak_mb: peak memory of the process, 10^6 bytes (VmHWM on Linux).
        empty_mb: memory before the model was loaded (Python, NumPy, Pillow), plus the photos, 10^6 bytes.
        batch: number of photos in one call.
        network: height and width of the network's input for the first photo.
        times_ms: time of every timed call, in order.
        other_cores: mean number of CPU cores that other processes used during the timed calls.
    """

    p50_ms: float
    p95_ms: float
    runs: int
    photos: str
    threads: int | None
    engine: str | None
    precision: str | None
    cpu: dict[str, Any]
    megabytes: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    peak_mb: float | None = None
    empty_mb: float | None = None
    batch: int = 1
    network: list[int] | None = None
    times_ms: list[float] = field(default_factory=list)
    other_cores: float | None = None


@dataclass(frozen=True)
class Loaded:
    """A loaded model, ready to be measured.

    Attributes:
        parse: function that parses one photo, or a batch of copies of it.
        canvas: function from a photo to the network's input size (height, width).
        size: side of the synthetic photo that is used if no photo is given.
        engine: as in `Measurement`, as are `precision` and `megabytes`.
    """

    parse: ParseTimed
    canvas: Callable[[NDArray[np.uint8]], tuple[int, int]]
    size: int
    engine: str
    precision: str
    megabytes: float


def measure(
    artefact: Path,
    photos: Sequence[Path] = (),
    runs: int = 50,
    threads: int | None = None,
    engine: str | None = None,
    precision: str = "f32",
    batch: int = 1,
    seconds: float = math.inf,
    keep: bool = False,
) -> Measurement:
    """Measure an artefact in a process of its own.

    Args:
        artefact: what `Parser.load` takes.
        photos: photos or folders of photos, of which the first few are used; without any, one synthetic photo of the
            artefact's size.
        runs: maximum number of timed calls.
        threads: number of CPU threads; None leaves it to the engine.
        engine: one of `runtime.engines.ENGINES`; None for the runtime's choice.
        precision: "f32", or "auto" for the engine's fastest.
        batch: number of photos in one call of the network, copies of one photo.
        seconds: time after which no further timed call starts; the first call is always made.
        keep: as in `Parser.load`.

    Raises:
        ProcessError: the process failed; the message holds the end of its output.
    """
    command = [sys.executable, "-m", "m2fp_kd.evaluation.speed.measure", str(artefact), f"--precision={precision}"]
    command += [f"--engine={engine}"] if engine else []
    command += ["--keep"] if keep else []
    return measure_command(command, str(artefact), photos, runs, threads, batch, seconds)


def measure_command(
    command: Sequence[str],
    name: str,
    photos: Sequence[Path],
    runs: int,
    threads: int | None,
    batch: int,
    seconds: float,
) -> Measurement:
    """Measure by a command that takes the options of `measuring_options` and prints a `Measurement` as JSON.

    Args:
        command: program and its own arguments.
        name: name of the measured model, for the error; the other arguments are those of `measure`.

    Raises:
        ProcessError: the command failed or did not print a measurement.
    """
    options = [f"--runs={runs}", f"--batch={batch}", f"--seconds={seconds}"]
    options += [f"--threads={threads}"] if threads else []
    options += ["--photos", *map(str, photos)] if photos else []
    with one_at_a_time():
        result = run_process([*command, *options, f"--started={time.time()}"], f"measuring {name}")
    try:
        return Measurement(**result)
    except TypeError as error:
        raise ProcessError(f"measuring {name}", "its output is not a measurement", str(error)) from error


def measure_callable(
    parse: ParseTimed,
    photos: Sequence[NDArray[np.uint8]],
    runs: int = 20,
    threads: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    seconds: float = math.inf,
) -> Measurement:
    """Time a function that parses a photo, such as a PyTorch teacher, in this process; size and memory stay None.

    Args:
        parse: function of one photo, uint8 (H, W, 3) RGB.
        photos: photos to parse in turn.
        runs: maximum number of timed calls.
        threads: number of threads, only recorded, as are `engine` and `precision`.
        seconds: time after which no further call starts, for untimed and timed calls each; the first is always made.
    """
    if not photos or runs < 1:
        raise ValueError("measuring needs at least one photo and one run")
    sizes = sorted({"x".join(map(str, photo.shape[:2])) for photo in photos})
    _time_calls(parse, photos, max(WARM_UP, len(photos)), seconds)  # some engines prepare for each photo size
    before = CpuUse.now()
    times = _time_calls(parse, photos, runs, seconds)
    others = before.other_cores(CpuUse.now())
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    shown = f"{', '.join(sizes[:3])}{', ...' if len(sizes) > 3 else ''}"
    description = f"{len(photos)} photo{'s' if len(photos) > 1 else ''} ({shown})"
    cpu = asdict(describe_cpu())
    found = Measurement(p50, p95, len(times), description, threads, engine, precision, cpu, times_ms=times)
    return replace(found, other_cores=others)


def measuring_options(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every measuring program; a program may add its own arguments."""
    command = argparse.ArgumentParser(description=description)
    command.add_argument("--photos", type=Path, nargs="+", default=[], help="photos or folders; default: synthetic")
    command.add_argument("--runs", type=int, default=50, help="maximum number of timed calls")
    command.add_argument("--seconds", type=float, default=math.inf, help="stop timing after this time; default: never")
    command.add_argument("--threads", type=int, help="default: the engine's choice")
    command.add_argument("--batch", type=int, default=1, help="photos in one call, copies of one")
    command.add_argument("--started", type=float, help="Unix time at which this process was started")
    return command


def measure_here(load: Callable[[], Loaded], options: argparse.Namespace) -> Measurement:
    """Measure in this process, which must not yet have loaded anything that a server would not hold.

    Args:
        load: function whose time counts as loading.
        options: options parsed by `measuring_options`.
    """
    files = _photo_files(options.photos) if options.photos else []
    photos = [read_photo(file) for file in files[:1]]
    empty_mb = memory_mb("VmRSS")
    start = time.perf_counter()
    loaded = load()
    load_ms = 1000 * (time.perf_counter() - start)
    photos = photos or [np.random.default_rng(0).integers(0, 256, (loaded.size, loaded.size, 3), np.uint8)]
    loaded.parse(photos[0])
    first_ms = None if options.started is None else 1000 * (time.time() - options.started)
    later = [read_photo(file) for file in files[1:]]
    photos += later
    timed = measure_callable(
        loaded.parse, photos, options.runs, options.threads, loaded.engine, loaded.precision, options.seconds
    )
    return replace(
        timed,
        megabytes=loaded.megabytes,
        load_ms=load_ms,
        first_ms=first_ms,
        peak_mb=memory_mb("VmHWM"),
        empty_mb=None if empty_mb is None else empty_mb + sum(photo.nbytes for photo in later) / 1e6,
        batch=options.batch,
        network=list(loaded.canvas(photos[0])),
    )


def artefact_megabytes(artefact: Path) -> float:
    """Return the size of an artefact's model file(s) in 10^6 bytes, without the card; a folder or a model file."""
    return megabytes(find_model(artefact))


def _time_calls(parse: ParseTimed, photos: Sequence[NDArray[np.uint8]], most: int, seconds: float) -> list[float]:
    """Return the milliseconds of up to `most` calls, photos in turn; after `seconds` none starts but the first."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < most and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        parse(photos[len(times) % len(photos)])
        times.append(1000 * (time.perf_counter() - start))
    return times


def _photo_files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        files += find_photos(path) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"no photos under {', '.join(map(str, paths))}")
    return files[:MOST_PHOTOS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process and print one line of JSON."""
    command = measuring_options("Time, size and memory of an artefact; prints JSON.")
    command.add_argument("artefact", type=Path)
    command.add_argument("--engine", help="default: the runtime's choice")
    command.add_argument("--precision", default="f32", help="f32, or auto for the engine's fastest")
    command.add_argument("--keep", action="store_true", help="cache what OpenVINO compiles for the next start")
    options = command.parse_args(arguments)

    def load() -> Loaded:
        parser = Parser.load(options.artefact, options.engine, options.threads, options.precision, options.keep)
        return Loaded(
            # A batch is copies of one photo: photos of different shapes share an input only if the geometry is fixed.
            parse=parser if options.batch == 1 else lambda photo: parser([photo] * options.batch),
            canvas=lambda photo: place(photo, parser.geometry)[1].canvas,
            size=parser.geometry.size,
            engine=parser.engine.name,
            precision=parser.engine.precision,
            megabytes=artefact_megabytes(options.artefact),
        )

    print(json.dumps(asdict(measure_here(load, options))))


if __name__ == "__main__":
    main()
