"""Time, size and memory of an artefact, in a clean process: ``python -m m2fp_kd.evaluation.speed.measure ARTEFACT``.

A training process holds PyTorch, its thread pools and gigabytes of memory; a server does not. So `measure` starts this
module as a process of its own, which imports the runtime only, and reads the JSON that it prints. Anything else is
measured the same way by a program that takes the options of `measuring_options`, gives `measure_here` a function that
loads it, and prints what comes back: `benchmarks/modelscope_m2fp.py` does.
"""

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.evaluation.speed.process import ProcessError, run_process
from m2fp_kd.runtime.artefact import find_model
from m2fp_kd.runtime.files import find_photos, megabytes
from m2fp_kd.runtime.geometry import place, read_photo
from m2fp_kd.runtime.parser import Parser

Parse = Callable[[NDArray[np.uint8]], object]
"""Called with one photo, uint8 (H, W, 3) RGB."""

WARM_UP = 5
MOST_PHOTOS = 16


@dataclass(frozen=True)
class Measurement:
    """What one photo costs: decoded pixels in, part map at the photo's own size out. None: not measured.

    Attributes:
        p50_ms: median over the runs; with a batch, of the whole batch.
        p95_ms: 95th percentile over the runs.
        runs: timed calls, after a few untimed ones.
        photos: which photos, in words.
        threads: CPU threads asked for; None leaves it to the engine.
        engine: what ran the network.
        precision: what the engine's floating-point part ran in: "f32", "bf16", ...
        cpu: description of the CPU.
        megabytes: size of the model's file(s), 10^6 bytes.
        load_ms: from the path to a parser that is ready.
        first_ms: from the start of the process to the first result, reading the photo from disk included.
        peak_mb: most memory that the process ever held, 10^6 bytes (Linux' VmHWM).
        empty_mb: what it held before it loaded the model (Python, NumPy, Pillow), and the photos.
        batch: photos in one call.
        network: height and width of the network's input for the first photo.
        times_ms: milliseconds of every timed call, in order.
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


@dataclass(frozen=True)
class Loaded:
    """Something that parses photos, ready to be measured.

    Attributes:
        parse: one call, of one photo or of a batch of copies of it.
        canvas: the network's input size (height, width) for a photo.
        size: side of the photo that is made where none is given.
        engine: as in `Measurement`, as are `precision` and `megabytes`.
    """

    parse: Parse
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
        photos: photos or folders of photos; the first few are used. None: one synthetic photo of the artefact's size.
        runs: most timed calls.
        threads: CPU threads; None leaves it to the engine.
        engine: one of `runtime.engines.ENGINES`; None for the runtime's choice.
        precision: "f32", or "auto" for what the engine finds fastest.
        batch: photos in one call of the network, copies of one.
        seconds: begin no further call after so many seconds of timed calls; the first is always made.
        keep: as in `Parser.load`.

    Raises:
        ProcessError: the process failed; the message holds the end of what it said.
    """
    command = [sys.executable, "-m", "m2fp_kd.evaluation.speed.measure", str(artefact), f"--precision={precision}"]
    command += [f"--engine={engine}"] if engine else []
    command += ["--keep"] if keep else []
    return measure_command(command, str(artefact), photos, runs, threads, batch, seconds)


def measure_command(
    command: Sequence[str],
    what: str,
    photos: Sequence[Path],
    runs: int,
    threads: int | None,
    batch: int,
    seconds: float,
) -> Measurement:
    """Measure by a command that takes the options of `measuring_options` and prints a `Measurement` as JSON.

    Args:
        command: program and its own arguments.
        what: what it measures, for the error; the rest as in `measure`.

    Raises:
        ProcessError: it failed, or what it printed is no measurement.
    """
    options = [f"--runs={runs}", f"--batch={batch}", f"--seconds={seconds}"]
    options += [f"--threads={threads}"] if threads else []
    options += ["--photos", *map(str, photos)] if photos else []
    answer = run_process([*command, *options, f"--started={time.time()}"], f"measuring {what}")
    try:
        return Measurement(**answer)
    except TypeError as error:
        raise ProcessError(f"measuring {what}", "what it printed is no measurement", str(error)) from error


def measure_callable(
    parse: Parse,
    photos: Sequence[NDArray[np.uint8]],
    runs: int = 20,
    threads: int | None = None,
    engine: str | None = None,
    precision: str | None = None,
    seconds: float = math.inf,
) -> Measurement:
    """Time anything that parses a photo, in this process: a PyTorch teacher, say. Size and memory stay None.

    Args:
        parse: called with one photo, uint8 (H, W, 3) RGB.
        photos: taken in turns.
        runs: most timed calls.
        threads: for the record only, as are `engine` and `precision`.
        seconds: begin no further call after so many seconds, untimed and timed calls each; the first is always made.
    """
    if not photos or runs < 1:
        raise ValueError("measuring needs at least one photo and one run")
    sizes = sorted({"x".join(map(str, photo.shape[:2])) for photo in photos})
    _time_calls(parse, photos, max(WARM_UP, len(photos)), seconds)  # some engines prepare for each size of photo
    times = _time_calls(parse, photos, runs, seconds)
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    shown = f"{', '.join(sizes[:3])}{', ...' if len(sizes) > 3 else ''}"
    words = f"{len(photos)} photo{'s' if len(photos) > 1 else ''} ({shown})"
    cpu = asdict(describe_cpu())
    return Measurement(p50, p95, len(times), words, threads, engine, precision, cpu, times_ms=times)


def measuring_options(description: str) -> argparse.ArgumentParser:
    """The options that every measuring program takes; it may add arguments of its own."""
    command = argparse.ArgumentParser(description=description)
    command.add_argument("--photos", type=Path, nargs="+", default=[], help="photos or folders; default: synthetic")
    command.add_argument("--runs", type=int, default=50, help="most timed calls")
    command.add_argument("--seconds", type=float, default=math.inf, help="stop timing after so long; default: never")
    command.add_argument("--threads", type=int, help="default: the engine's choice")
    command.add_argument("--batch", type=int, default=1, help="photos in one call, copies of one")
    command.add_argument("--started", type=float, help="Unix time at which this process was started")
    return command


def measure_here(load: Callable[[], Loaded], options: argparse.Namespace) -> Measurement:
    """Measure in this process, which must not have loaded anything yet that a server would not hold.

    Args:
        load: what is timed as loading.
        options: as parsed by `measuring_options`.
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
    """Size of an artefact's model file(s), without its card, in 10^6 bytes; it is a folder or the model file."""
    return megabytes(find_model(artefact))


def memory_mb(field: str, process: int | str = "self") -> float | None:
    """A figure of a process, ``VmRSS`` (now) or ``VmHWM`` (peak), in 10^6 bytes; None where there is no ``/proc``.

    `resource.getrusage` will not do: its peak is inherited from the process that started this one.
    """
    status = Path(f"/proc/{process}/status")
    found = status.is_file() and re.search(rf"^{field}:\s*(\d+) kB", status.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None


def _time_calls(parse: Parse, photos: Sequence[NDArray[np.uint8]], most: int, seconds: float) -> list[float]:
    """Milliseconds of up to `most` calls, photos taken in turns; none is begun after `seconds`, but for the first."""
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
    command.add_argument("--precision", default="f32", help="f32, or auto for what the engine finds fastest")
    command.add_argument("--keep", action="store_true", help="let OpenVINO keep what it compiles for the next start")
    options = command.parse_args(arguments)

    def load() -> Loaded:
        parser = Parser.load(options.artefact, options.engine, options.threads, options.precision, options.keep)
        return Loaded(
            # Copies, because photos of different shapes share a network's input only where its geometry is fixed.
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
