"""Measure `m2fp-kd parse` on videos: frames a second, and the flicker that smoothing leaves.

    python benchmarks/video.py photo.jpg                          the demo
    python benchmarks/video.py photo.jpg -a artefacts/int8 --smooth 0 0.6 0.8 --jobs 2
    python benchmarks/video.py photo.jpg --jobs 1                 frames one by one, as a camera's

Two videos are made of the photo: a pan of 1280 x 720 that moves by 4 pixels a frame, and the photo at rest with new
noise in every frame (standard deviation 5 grey levels). Each row is a run of the command on each of them. Flicker is
the share of pixels whose part differs from that of the frame before, in the second video, where no part should. Frames
a second are those that the command prints for the first video: decoding, network, part map, ids, mosaic and encoding,
by the clock. The last line gives device, threads, resolution, and the cores that other processes used meanwhile.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from m2fp_kd import DEMO
from m2fp_kd.evaluation.speed.alone import CpuUse
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.runtime.artefact import find_model, load_card
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.video.reading import Frame, Video
from m2fp_kd.runtime.video.writing import write_video

SIZE = (720, 1280)
STEP = 4
NOISE = 5.0
RATE = Video(Fraction(25), Fraction(1, 25), None)

COLUMNS = ("--smooth", "frames/s", "flicker, % of pixels", "network ms", "smooth ms")


def pan(photo: np.ndarray, frames: int) -> Iterator[Frame]:
    """Yield windows of the photo, enlarged so that they fit, each further to the right."""
    height, width = photo.shape[:2]
    scale = max(SIZE[0] / height, (SIZE[1] + STEP * frames) / width)
    size = (round(width * scale), round(height * scale))
    large = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    for index in range(frames):
        yield Frame(index, index, large[: SIZE[0], STEP * index : STEP * index + SIZE[1]])


def rest(photo: np.ndarray, frames: int) -> Iterator[Frame]:
    """Yield the photo with noise."""
    noise = np.random.default_rng(0)
    for index in range(frames):
        grain = noise.normal(0, NOISE, photo.shape)
        yield Frame(index, index, np.clip(photo + grain, 0, 255).astype(np.uint8))


def flicker(maps: Path) -> float:
    """Return the share of pixels that change between two part maps of a folder, in percent."""
    found = [np.asarray(Image.open(path)) for path in sorted(maps.iterdir())]
    return 100 * float(np.mean([(one != other).mean() for one, other in pairwise(found)]))


def others_cores(start: CpuUse, end: CpuUse) -> float:
    """Return the mean number of cores that processes other than the measured ones used; NaN where unknown."""
    if start.all is None or end.all is None:
        return float("nan")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = children.ru_utime + children.ru_stime + end.own - start.own
    return max(0.0, end.all - start.all - measured) / (end.wall - start.wall)


def parse(video: Path, output: Path, options: Sequence[str]) -> dict:
    """Run the command on a video and return what it prints.

    Raises:
        SystemExit: the command fails; its errors are printed.
    """
    command = [sys.executable, "-m", "m2fp_kd", "parse", str(video), "-o", str(output), "--json", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def row(folder: Path, smooth: float, options: Sequence[str]) -> str:
    """Return a row of the table."""
    options = ["--smooth", f"{smooth:g}", *options]
    moving = parse(folder / "pan.mp4", folder / "out", options)
    parse(folder / "rest.mkv", folder / "out", [*options, "--part-maps", "--write", "map"])
    steps = moving["timings_ms"]
    trembling = flicker(folder / "out" / "rest_maps")
    times = f"{steps['network']:.1f} | {steps.get('smooth', 0.0):.1f}"
    return f"| {smooth:g} | {moving['frames_per_second']:.1f} | {trembling:.2f} | {times} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("-a", "--artefact", type=Path, default=DEMO, help="(default: the demo)")
    parser.add_argument("--frames", type=int, default=100, help="(default: 100)")
    parser.add_argument("--smooth", type=float, nargs="+", default=[0.0, 0.6, 0.8], help="(default: 0 0.6 0.8)")
    parser.add_argument("--jobs", type=int, help="as in m2fp-kd parse")
    parser.add_argument("--threads", type=int, help="as in m2fp-kd parse")
    options = parser.parse_args(arguments)
    extra = ["-a", str(options.artefact)]
    for name in ("jobs", "threads"):
        extra += [f"--{name}", str(getattr(options, name))] if getattr(options, name) else []
    photo, size = read_photo(options.photo), load_card(find_model(options.artefact)).geometry["size"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "pan.mp4", pan(photo, options.frames), RATE)
        write_video(folder / "rest.mkv", rest(photo, options.frames), RATE)
        start = CpuUse.now()
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for smooth in options.smooth:
            print(row(folder, smooth, extra), flush=True)
        others = others_cores(start, CpuUse.now())
    cpu = describe_cpu()
    print(
        f"\n{cpu.model}, {cpu.cores} cores, jobs {options.jobs or 'default'}, threads {options.threads or 'default'}, "
        f"network input {size}, {options.frames} frames of {SIZE[1]}x{SIZE[0]}; other processes used {others:.1f} cores"
    )


if __name__ == "__main__":
    main()
