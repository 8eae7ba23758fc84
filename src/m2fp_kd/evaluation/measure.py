"""Time, size and memory of an artefact, measured in a clean process: ``python -m m2fp_kd.evaluation.measure ARTEFACT``.

A training process holds PyTorch, its thread pools and gigabytes of memory; a server does not. So `measure` starts this
module as a process of its own, which imports the runtime only, and reads the JSON that it prints.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import m2fp_kd
from m2fp_kd.evaluation.cpu import describe_cpu
from m2fp_kd.runtime.artefact import find_model, model_files
from m2fp_kd.runtime.files import find_photos
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.parser import Parser

WARM_UP = 5
MOST_PHOTOS = 16


@dataclass(frozen=True)
class Measurement:
    """What one photo costs: decoded pixels in, part map at the photo's own size out. None: not measured.

    Attributes:
        p50_ms: median over the runs.
        p95_ms: 95th percentile over the runs.
        runs: timed calls, after a few untimed ones.
        photos: which photos, in words.
        threads: CPU threads asked for; None leaves it to the engine.
        engine: what ran the network.
        arithmetic: what the engine's floating-point part ran in: "f32", "bf16", ...
        cpu: description of the CPU.
        megabytes: size of the model's file(s), 10^6 bytes.
        load_ms: from the path to a parser that is ready.
        peak_mb: most memory that the process ever held, 10^6 bytes (Linux' VmHWM).
        empty_mb: what it held before it loaded the model: Python, NumPy, Pillow and the photos.
    """

    p50_ms: float
    p95_ms: float
    runs: int
    photos: str
    threads: int | None
    engine: str | None
    arithmetic: str | None
    cpu: dict[str, Any]
    megabytes: float | None = None
    load_ms: float | None = None
    peak_mb: float | None = None
    empty_mb: float | None = None


def measure(
    artefact: Path,
    photos: Sequence[Path] = (),
    runs: int = 50,
    threads: int | None = None,
    engine: str | None = None,
    arithmetic: str = "f32",
) -> Measurement:
    """Measure an artefact in a process of its own.

    Args:
        artefact: what `Parser.load` takes.
        photos: photos or folders of photos; the first few are used. None: one synthetic photo of the artefact's size.
        runs: timed calls.
        threads: CPU threads; None leaves it to the engine.
        engine: "openvino" or "onnxruntime"; None for the runtime's choice.
        arithmetic: "f32", or "auto" for what the engine finds fastest.

    Raises:
        RuntimeError: the process failed; the message holds the end of what it said.
    """
    command = [sys.executable, "-m", "m2fp_kd.evaluation.measure", str(artefact)]
    command += [f"--runs={runs}", f"--arithmetic={arithmetic}"]
    command += [f"--threads={threads}"] if threads else []
    command += [f"--engine={engine}"] if engine else []
    command += ["--photos", *map(str, photos)] if photos else []
    # The package may be on this process's path only (a checkout that is not installed).
    package_root = str(Path(m2fp_kd.__file__).parents[1])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": search_path}
    )
    if done.returncode:
        raise RuntimeError(f"measuring {artefact} failed (exit code {done.returncode}):\n{done.stderr[-2000:]}")
    # Engines may print lines of their own before it.
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def measure_callable(
    parse: Callable[[NDArray[np.uint8]], object],
    photos: Sequence[NDArray[np.uint8]],
    runs: int = 20,
    threads: int | None = None,
    engine: str | None = None,
    arithmetic: str | None = None,
) -> Measurement:
    """Time anything that parses a photo, in this process: a PyTorch teacher, say. Size and memory stay None.

    Args:
        parse: called with one photo, uint8 (H, W, 3) RGB.
        photos: taken in turns.
        runs: timed calls.
        threads: for the record only, as are `engine` and `arithmetic`.
    """
    if not photos or runs < 1:
        raise ValueError("measuring needs at least one photo and one run")
    sizes = sorted({"x".join(map(str, photo.shape[:2])) for photo in photos})
    for index in range(WARM_UP):
        parse(photos[index % len(photos)])
    times = []
    for index in range(runs):
        start = time.perf_counter()
        parse(photos[index % len(photos)])
        times.append(1000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    shown = f"{', '.join(sizes[:3])}{', ...' if len(sizes) > 3 else ''}"
    words = f"{len(photos)} photo{'s' if len(photos) > 1 else ''} ({shown})"
    return Measurement(p50, p95, runs, words, threads, engine, arithmetic, asdict(describe_cpu()))


def artefact_megabytes(artefact: Path) -> float:
    """Size of an artefact's model file(s), without its card, in 10^6 bytes; it is a folder or the model file."""
    return sum(path.stat().st_size for path in model_files(find_model(artefact))) / 1e6


def memory_mb(field: str) -> float | None:
    """A figure of this process, ``VmRSS`` (now) or ``VmHWM`` (peak), in 10^6 bytes; None where there is no ``/proc``.

    `resource.getrusage` will not do: its peak is inherited from the process that started this one.
    """
    status = Path("/proc/self/status")
    found = status.is_file() and re.search(rf"^{field}:\s*(\d+) kB", status.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None


def _read_photos(paths: Sequence[Path]) -> list[NDArray[np.uint8]]:
    files: list[Path] = []
    for path in paths:
        files += find_photos(path) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"no photos under {', '.join(map(str, paths))}")
    return [read_photo(path) for path in files[:MOST_PHOTOS]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process and print one line of JSON."""
    command = argparse.ArgumentParser(description="Time, size and memory of an artefact; prints JSON.")
    command.add_argument("artefact", type=Path)
    command.add_argument("--photos", type=Path, nargs="+", default=[], help="photos or folders; default: synthetic")
    command.add_argument("--runs", type=int, default=50)
    command.add_argument("--threads", type=int, help="default: the engine's choice")
    command.add_argument("--engine", choices=["openvino", "onnxruntime"], help="default: the runtime's choice")
    command.add_argument("--arithmetic", choices=["f32", "auto"], default="f32")
    options = command.parse_args(arguments)

    photos = _read_photos(options.photos) if options.photos else []
    empty_mb = memory_mb("VmRSS")
    start = time.perf_counter()
    parser = Parser.load(
        options.artefact, engine=options.engine, threads=options.threads, arithmetic=options.arithmetic
    )
    load_ms = 1000 * (time.perf_counter() - start)
    size = parser.geometry.size
    photos = photos or [np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)]
    engine = parser.engine
    timed = measure_callable(parser, photos, options.runs, options.threads, engine.name, engine.arithmetic)
    extra = {
        "megabytes": artefact_megabytes(options.artefact),
        "load_ms": load_ms,
        "peak_mb": memory_mb("VmHWM"),
        "empty_mb": empty_mb,
    }
    print(json.dumps(asdict(timed) | extra))


if __name__ == "__main__":
    main()
