"""`m2fp-kd parse`: photos and folders to part maps and mosaics."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from m2fp_kd.cli.options import STYLE, add_artefact, say_demo


@dataclass(frozen=True)
class Job:
    """A photo to parse and the two files to write."""

    photo: Path
    part_map: Path
    mosaic: Path

    @property
    def done(self) -> bool:
        """Whether both files exist; files are only ever there whole."""
        return self.part_map.is_file() and self.mosaic.is_file()


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("parse", help="part maps and mosaics of photos", **STYLE)
    command.add_argument("photos", metavar="PHOTO|FOLDER", type=Path, nargs="+")
    add_artefact(command)
    command.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("parsed"), help="folder to write to (default: parsed)"
    )
    command.add_argument(
        "--engine",
        metavar="NAME",
        help="openvino or onnxruntime (.onnx), openvino (.xml), torchscript (.pt), program (.pt2); "
        "default: the first that is installed",
    )
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: the engine's choice")
    command.add_argument(
        "--arithmetic", choices=["f32", "auto"], default="f32", help="auto: bf16 where the CPU has it (default: f32)"
    )
    command.add_argument("--resume", action="store_true", help="skip photos whose two files exist")
    command.add_argument("--json", action="store_true", help="print one JSON line per photo")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Parse; 1 if some photos could not be read."""
    from m2fp_kd.runtime.geometry import PhotoError
    from m2fp_kd.runtime.parser import Parser

    say_demo(options.artefact)
    jobs = plan(options.photos, options.output)
    waiting = [job for job in jobs if not (options.resume and job.done)]
    parser = Parser.load(options.artefact, options.engine, options.threads, options.arithmetic)
    times: list[float] = []
    failed = 0
    for index, job in enumerate(waiting):
        _progress(f"{index + 1}/{len(waiting)}  {job.photo}")
        try:
            result = _parse_one(parser, job)
        except (PhotoError, FileNotFoundError) as error:
            _progress("")
            print(f"failed: {error}", file=sys.stderr)
            failed += 1
            continue
        times.append(sum(result["timings_ms"].values()))
        if options.json:
            print(json.dumps(result), flush=True)
    _progress("")
    words = [f"{len(times)} parsed"]
    words += [f"{len(jobs) - len(waiting)} already there"] if len(waiting) < len(jobs) else []
    words += [f"{failed} failed"] if failed else []
    speed = f", {median(times):.1f} ms a photo ({parser.engine.name}, {parser.engine.arithmetic})" if times else ""
    print(f"{', '.join(words)} in {options.output}{speed}", file=sys.stderr)
    return 1 if failed else 0


def _parse_one(parser: Any, job: Job) -> dict[str, Any]:
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.geometry import read_photo
    from m2fp_kd.runtime.mosaic import mosaic

    photo = read_photo(job.photo)
    parsing = parser(photo)
    write_index_png(job.part_map, parsing.part_map, parsing.labels)
    with atomic_path(job.mosaic) as temporary:
        mosaic(photo, parsing.part_map, parsing.labels).save(temporary, quality=90, subsampling=0)
    return {
        "photo": str(job.photo),
        "part_map": str(job.part_map),
        "mosaic": str(job.mosaic),
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": {step: round(value, 3) for step, value in parsing.timings.items()},
    }


def plan(sources: Sequence[Path], output: Path) -> list[Job]:
    """The photos among `sources` (photos, and folders searched with all below them) and where their results go.

    What lies in the output folder is an earlier result, never a photo.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo at all.
        ValueError: photos lie in the output folder, or two would be written to the same file.
    """
    from m2fp_kd.runtime.files import find_photos

    photos: list[tuple[Path, Path]] = []
    target = output.resolve()
    for source in sources:
        if source.resolve().is_relative_to(target):
            raise ValueError(f"{source} lies in the output folder {output}; choose another output folder")
        if source.is_dir():
            inside = (path for path in find_photos(source) if not path.resolve().is_relative_to(target))
            photos += [(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            photos.append((source, Path(source.name)))
        else:
            raise FileNotFoundError(f"{source}: no such photo or folder")
    if not photos:
        raise FileNotFoundError(f"no photos in {', '.join(map(str, sources))}")
    jobs: dict[Path, Job] = {}
    for photo, name in photos:
        stem = output / name.parent / name.stem
        job = Job(photo, Path(f"{stem}.png"), Path(f"{stem}_mosaic.jpg"))
        if other := jobs.get(job.part_map):
            raise ValueError(f"{other.photo} and {photo} would both be written to {job.part_map}; parse them apart")
        jobs[job.part_map] = job
    return list(jobs.values())


def _progress(text: str) -> None:
    """Replace the terminal's last line; without a terminal say nothing."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
