"""Score an artefact on labelled photos: ``python -m m2fp_kd.evaluation.benchmark.score ARTEFACT --data ROOT``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.layouts import held_out_records, held_out_split
from m2fp_kd.data.reading import read_record
from m2fp_kd.evaluation.metrics.evaluate import evaluate_parsings
from m2fp_kd.evaluation.metrics.predictions import LabelledPhoto
from m2fp_kd.evaluation.speed.process import run_process
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.parsing import Parsing


@dataclass(frozen=True)
class Settings:
    """How an artefact is scored; the options of `main` have the same names.

    Attributes:
        engine: as in `Parser.load`, as are `threads` and `precision`.
        limit: as in `held_out_records`.
        part_maps: new file for the pixels of all part maps, uint8 (N,), as `agreement` reads it.
    """

    engine: str | None = None
    threads: int | None = None
    precision: str = "f32"
    limit: int | None = None
    part_maps: Path | None = None


def score(artefact: Path, root: Path, settings: Settings) -> dict[str, Any]:
    """Score an artefact on the held-out photos of a data set, at the labels' own size.

    Args:
        artefact: path of an artefact, as for `Parser.load`; its card names the label set.
        root: data set in M2FP's layout.
        settings: engine, photos and file of the part maps.

    Returns:
        ``{split, photos, miou, miou_absent_zero, pixel_accuracy, iou: {part: IoU or None}, boundary: {iou, f, iou_of,
        f_of}, instances: {name: value}, absent: [part, ...]}``, shares in 0..1; boundary, instances and absent parts as
        in `Scores`.

    Raises:
        FileNotFoundError: the artefact or the photos are missing.
        ValueError: the data set has labels outside the artefact's label set.
    """
    records = held_out_records(root, settings.limit)
    parser = Parser.load(artefact, settings.engine, settings.threads, settings.precision, keep=False)
    photos = (read_record(record, parser.labels) for record in records)
    pixels: list[NDArray[np.uint8]] = []

    def parse(photo: LabelledPhoto) -> Parsing:
        parsing = parser(photo.image)
        if settings.part_maps is not None:
            pixels.append(parsing.part_map.ravel())
        return parsing

    scores = evaluate_parsings(parse, photos, parser.labels)
    if settings.part_maps is not None:
        np.save(settings.part_maps, np.concatenate(pixels))
    return {
        "split": held_out_split(root),
        "photos": len(records),
        "miou": scores.miou,
        "miou_absent_zero": scores.miou_absent_zero,
        "pixel_accuracy": scores.pixel_accuracy,
        "iou": scores.iou,
        "boundary": asdict(scores.boundary) if scores.boundary else None,
        "instances": scores.instances,
        "absent": scores.absent(parser.labels),
    }


def count_photos(root: Path, limit: int | None = None) -> int:
    """Return the number of photos that `score` scores.

    Raises:
        FileNotFoundError: the data set or its held-out photos are missing.
    """
    return len(held_out_records(root, limit))


def score_in_process(artefact: Path, root: Path, settings: Settings) -> dict[str, Any]:
    """Return `score` of a process of its own, which holds one engine only.

    Raises:
        ProcessError: the process failed; the message holds the end of its output.
    """
    command = [sys.executable, "-m", "m2fp_kd.evaluation.benchmark.score", str(artefact), f"--data={root}"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in vars(settings).items() if value is not None]
    return run_process(command, f"scoring {artefact}")


def agreement(part_maps: Path, reference: Path) -> float:
    """Return the share of pixels, 0..1, on which the part maps of two artefacts on the same photos agree."""
    return float((np.load(part_maps) == np.load(reference)).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Score in this process and print one line of JSON."""
    command = argparse.ArgumentParser(description="mIoU of an artefact on labelled photos; prints JSON.")
    command.add_argument("artefact", type=Path)
    command.add_argument(
        "--data", type=Path, required=True, help="data set in M2FP's layout; its held-out split is used"
    )
    command.add_argument("--engine", help="default: the runtime's choice")
    command.add_argument("--threads", type=int, help="default: the engine's choice")
    command.add_argument("--precision", default=Settings.precision, help="f32, or auto for the engine's fastest")
    command.add_argument("--limit", type=int, help="maximum number of photos; default: all")
    command.add_argument("--part-maps", type=Path, help="new file for all part maps")
    options = vars(command.parse_args(arguments))
    print(json.dumps(score(options.pop("artefact"), options.pop("data"), Settings(**options))))


if __name__ == "__main__":
    main()
