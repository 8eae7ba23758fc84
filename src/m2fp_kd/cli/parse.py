"""`m2fp-kd parse`: part maps and mosaics of photos, videos and folders."""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.options import add_artefact, announce_demo
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.results import parse_photo, parse_video
from m2fp_kd.cli.sources import Job, plan
from m2fp_kd.command import RenamedOption, teaching

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser

HELP = """examples:
  m2fp-kd parse photo.jpg                               part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ more/ -o out  folders and their subfolders
  m2fp-kd parse 'photos/**/*.jpg'                       a quoted pattern, for more files than a shell can pass
  m2fp-kd parse -a artefacts/int8 photos/ --resume      continue where an earlier call stopped
  m2fp-kd parse -a artefacts/int8 photos/ --json > log  one JSON line per photo: parts, people, timings
  m2fp-kd parse walk.mp4 --every 5 --part-maps          a video (pip install 'm2fp-kd[video]')

For the photo NAME.jpg it writes NAME.png, whose pixel values are part indices (at the photo's own upright size, with
the label set's palette), and NAME_mosaic.jpg, the photo beside its parts with a legend. For the video NAME.mp4 it
writes NAME_mosaic.mp4, without sound, and NAME.jsonl, one JSON line per frame: parts, people, timings; with --part-maps
also NAME_maps/NUMBER.png for each frame. The output keeps the structure of the folders. Every file is written whole or
not at all.

Exit code: 0 all parsed, 1 some photos or videos could not be read (they are named, the others are parsed), 2 stopped by
an error, 130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("parse", help="part maps and mosaics of photos and videos", **teaching(HELP))
    words = "photos, videos, folders and patterns"
    command.add_argument("sources", metavar="PHOTO|VIDEO|FOLDER|PATTERN", type=Path, nargs="+", help=words)
    add_artefact(command)
    command.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("parsed"), help="folder to write to (default: parsed)"
    )
    command.add_argument(
        "--engine",
        metavar="NAME",
        help="openvino or onnxruntime (.onnx), openvino (.xml), torchscript (.pt), torch_export (.pt2); "
        "default: the first that is installed",
    )
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: the engine's choice")
    command.add_argument(
        "--precision", choices=["f32", "auto"], default="f32", help="auto: bf16 where the CPU has it (default: f32)"
    )
    command.add_argument(
        "--arithmetic", dest="precision", choices=["f32", "auto"], action=RenamedOption, help=argparse.SUPPRESS
    )
    command.add_argument("--resume", action="store_true", help="skip sources whose results are complete in DIR")
    command.add_argument("--json", action="store_true", help="print one JSON line per photo and per video")
    command.add_argument(
        "--every", type=int, metavar="N", default=1, help="parse every Nth frame of a video only (default: 1)"
    )
    command.add_argument("--part-maps", action="store_true", help="write the part maps of a video's frames as well")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Parse all sources; return 1 if some could not be read."""
    from m2fp_kd.runtime.parser import Parser

    if options.every < 1:
        raise ValueError(f"--every must be at least 1, not {options.every}")
    jobs = plan(options.sources, options.output)
    waiting = [job for job in jobs if not (options.resume and job.done(options.part_maps))]
    options.output.mkdir(parents=True, exist_ok=True)
    announce_demo(options.artefact)
    parser = Parser.load(options.artefact, options.engine, options.threads, options.precision)
    try:
        times = _parse_all(parser, waiting, options)
    except KeyboardInterrupt:
        print("\nstopped; --resume continues from here", file=sys.stderr)
        return 130
    failed = len(waiting) - len(times)
    words = [f"{len(times)} parsed"]
    words += [f"{len(jobs) - len(waiting)} already there"] if len(waiting) < len(jobs) else []
    words += [f"{failed} failed"] if failed else []
    unit = "photo or frame" if any(job.is_video for job in waiting) else "photo"
    speed = f", {median(times):.1f} ms a {unit} ({parser.engine.name}, {parser.engine.precision})" if times else ""
    print(f"{', '.join(words)} in {options.output}{speed}", file=sys.stderr)
    return 1 if failed else 0


def _parse_all(parser: "Parser", jobs: list[Job], options: argparse.Namespace) -> list[float]:
    """Return the milliseconds per photo or frame of each job that could be read; print the names of the others."""
    from m2fp_kd.runtime.geometry import PhotoError
    from m2fp_kd.runtime.video import VideoError

    progress, times = Progress(len(jobs)), []
    for index, job in enumerate(jobs):
        progress.show(index, str(job.source))
        try:
            if job.is_video:
                result = parse_video(parser, job, options.every, options.part_maps)
            else:
                result = parse_photo(parser, job)
        except (PhotoError, VideoError, FileNotFoundError) as error:
            progress.clear()
            print(f"failed: {error}", file=sys.stderr)
            continue
        times.append(sum(result["timings_ms"].values()))
        if options.json:
            progress.clear()
            print(json.dumps(result), flush=True)
    progress.clear()
    return times
