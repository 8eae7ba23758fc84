"""Compare part maps at the photo's own size with plain interpolation, and time them and what is made of them.

    python benchmarks/part_maps.py PHOTOS [--artefact FOLDER] [--photos 20] [--sizes 320 1000 4000]

Photos are resized so that their longest side has each of the sizes. For each size the script prints the share of pixels
that equal the argmax of the logits after M2FP's two bilinear resizes, the share that enlarging the canvas's part map by
nearest neighbour gets right, and CPU times on one core: means over the photos of the
median of five repeats, in turns.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

import numpy as np
from PIL import Image

import m2fp_kd
from m2fp_kd.runtime.geometry import restore_map, restore_taps
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import restored_argmax, upsampled_argmax

DEMO = Path(m2fp_kd.__file__).parent / "demo"
ROWS = 64
REPEATS = 5


def resized(paths: list[Path], size: int) -> Iterator[np.ndarray]:
    for path in paths:
        with Image.open(path) as image:
            scale = size / max(image.size)
            width, height = (max(1, round(side * scale)) for side in image.size)
            yield np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def plain(parsing: Parsing) -> np.ndarray:
    """Interpolate every pixel, some rows at a time."""
    logits = parsing.outputs["part_logits"]
    rows, columns = restore_taps(logits.shape[1:], parsing.placement)
    widened = columns.columns(logits)
    strips = [rows[top : top + ROWS].rows(widened).argmax(axis=0) for top in range(0, len(rows.index), ROWS)]
    return np.concatenate(strips)


def milliseconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return 1000 * (time.process_time() - start)


def measured(parsing: Parsing) -> dict[str, float]:
    """Return shares of pixels and milliseconds of a photo."""
    logits, canvas, placement = parsing.outputs["part_logits"], parsing.outputs["part_map"], parsing.placement
    truth = plain(parsing)
    shares = {"equal": parsing.part_map == truth, "nearest equal": restore_map(canvas, placement) == truth}
    acts: dict[str, Callable[[], object]] = {
        "canvas": lambda: upsampled_argmax(logits),
        "photo": lambda: restored_argmax(logits, canvas, placement),
        "nearest": lambda: restore_map(canvas, placement),
        "parts": lambda: _fresh(parsing).parts,
        "people": lambda: _fresh(parsing).people,
        "confidence": lambda: parsing.confidence(),
        "RLE": lambda: parsing.to_coco(),
        "mosaic": lambda: parsing.mosaic(),
    }
    turns = [{name: milliseconds(act) for name, act in acts.items()} for _ in range(REPEATS)]
    times = {f"{name} ms": median(turn[name] for turn in turns) for name in acts}
    return {name: 100 * share.mean() for name, share in shares.items()} | times


def _fresh(parsing: Parsing) -> Parsing:
    """Return the parsing without the properties that it has computed already."""
    fields = ("photo", "part_map", "labels", "people_kind", "timings", "placement", "outputs", "persons")
    return Parsing(**{name: getattr(parsing, name) for name in fields})


def main() -> None:
    command = argparse.ArgumentParser(description="Part maps at the photo's own size: agreement and time.")
    command.add_argument("folder", type=Path, metavar="PHOTOS", help="folder of photos")
    command.add_argument("--artefact", type=Path, default=DEMO, help="artefact with part_logits; default: the demo")
    command.add_argument("--photos", type=int, default=20, help="photos, spread over the folder")
    command.add_argument(
        "--sizes", type=int, nargs="+", default=[320, 512, 1000, 4000], help="longest sides, in pixels"
    )
    options = command.parse_args()
    paths = sorted(path for path in options.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        command.error(f"{options.folder}: has no photos")
    paths = paths[:: -(-len(paths) // options.photos)]
    parser = Parser.load(options.artefact, threads=1, keep=False)
    print(f"{len(paths)} photos, {parser.labels.num_parts} parts, canvas of {parser.geometry.size} pixels")
    for size in options.sizes:
        found = [measured(parser(photo)) for photo in resized(paths, size)]
        print(f"{size} pixels: least {min(one['equal'] for one in found):.5f} % equal; mean of the photos:")
        print("   ".join(f"{name} {mean(one[name] for one in found):.4g}" for name in found[0]))


if __name__ == "__main__":
    main()
