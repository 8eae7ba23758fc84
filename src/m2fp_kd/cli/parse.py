"""`m2fp-kd parse`: part maps, mosaics and other results of photos, videos and folders."""

import argparse
import json
import sys
import time
from collections.abc import Collection, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from m2fp_kd.cli.batch import Batch, find_batch
from m2fp_kd.cli.jobs import DATASET, ENDINGS, FORMATS, Job
from m2fp_kd.cli.live import parse_live, source
from m2fp_kd.cli.options import MOST_THREADS, add_artefact, add_megapixels, add_shard, add_threads, announce_demo
from m2fp_kd.cli.outcomes import Outcome, outcomes
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.ray_pool import check_options, cluster, pool_outcomes
from m2fp_kd.cli.time_spent import TimeSpent
from m2fp_kd.command import RenamedOption, number, one_line, print_result, printable, several, teaching, whole_number
from m2fp_kd.signals import TERMINATED, Terminated, terminable

HELP = """examples:
  m2fp-kd parse photo.jpg                               part map and mosaic in parsed/
  m2fp-kd parse -a artefacts/int8 photos/ more/ -o out  folders and their subfolders
  m2fp-kd parse 'photos/**/*.jpg'                       a quoted pattern, for more files than a shell can pass
  m2fp-kd parse -a artefacts/int8 photos/ --resume      continue where an earlier call stopped
  m2fp-kd parse -a artefacts/int8 photos/ --json > log  one JSON line per photo: parts, people, timings
  m2fp-kd parse photos/ --write map --jobs 2            part maps only, on two cores
  m2fp-kd parse photos/ --write masks,polygons,json     other results; docs/guides/outputs.md describes them
  m2fp-kd parse photos/ --shard 2/8 --resume            the second of eight shares, for eight machines
  m2fp-kd parse photos/ --ray auto --resume             on a Ray cluster; results.parquet has a row for each photo
  m2fp-kd parse s3://BUCKET/photos --ray auto -o out    the same, from a file system that fsspec knows
  m2fp-kd parse photos/ --format coco                   one annotations.json for label tools and training
  m2fp-kd parse -a ARTEFACT photos/ --labels lip        part maps with LIP's indices
  m2fp-kd parse walk.mp4 --smooth 0.6                   a video (extra `video`), with calmer parts
  m2fp-kd parse 0                                       a camera; Ctrl-C ends it
  m2fp-kd parse rtsp://HOST/PATH                        a stream

For the photo NAME.jpg it writes NAME.png, whose pixel values are part indices (at the photo's own upright size, with
the label set's palette), and NAME_mosaic.jpg, the photo beside its parts with a legend. --write chooses among these and
NAME_masks/ (a PNG for each part and person), NAME.json (parts, persons, boxes, areas, scores), NAME_polygons.json and
NAME_confidence.png (255 x the probability of each pixel's part). Photos of one name, such as a.jpg and a.png, keep
their endings (a.jpg.png). It reads every kind of photo that Pillow reads, and HEIC with the package pillow-heif; the
endings of other pictures are named. For the video NAME.mp4 it writes NAME_mosaic.mp4, without sound, and NAME.jsonl,
one JSON line per frame: parts, people with ids that they keep, timings; with --part-maps also NAME_maps/NUMBER.png for
each frame. The output keeps the structure of the folders. Every file is written whole or not at all.

A camera or a stream is parsed as it arrives, the newest frame each time, into files named after it and the time, and
into a window where there is a display; q closes it. A stream that is lost is opened again for 30 seconds. A URL of a
recording is parsed frame by frame.

It parses several photos, or frames of a video, at the same time (--jobs), and together they have no more pixels than
the largest photo may have (--megapixels). Results are printed in the order of the photos. The times that it prints are
by the clock; with several jobs, a photo's steps add up to more than the mean time of a photo.

Exit code: 0 all parsed, 1 some photos or videos could not be read (they are named, the others are parsed), 2 stopped by
an error, 130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("parse", help="part maps and mosaics of photos and videos", **teaching(HELP))
    words = "photos, videos, folders and patterns; or a camera (0) or a stream (rtsp://..., http://...)"
    command.add_argument("sources", metavar="PHOTO|VIDEO|FOLDER|PATTERN|CAMERA|URL", type=source, nargs="+", help=words)
    add_artefact(command)
    command.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("parsed"), help="folder to write to (default: parsed)"
    )
    command.add_argument(
        "--engine",
        metavar="NAME",
        help="openvino or onnxruntime (.onnx), openvino (.xml), torchscript (.pt), torch_export (.pt2), "
        "executorch (.pte), litert (.tflite), ncnn (.param); default: the first that is installed",
    )
    words = (
        "photos or frames to parse at the same time; default: the cores that the process may use, divided by --threads"
    )
    command.add_argument("--jobs", type=whole_number(1, MOST_THREADS), metavar="N", help=words)
    add_threads(command, "CPU threads of the network in each job; default: the cores divided by the jobs")
    command.add_argument(
        "--precision", choices=["f32", "auto"], default="f32", help="auto: bf16 where the CPU has it (default: f32)"
    )
    command.add_argument(
        "--arithmetic", dest="precision", choices=["f32", "auto"], action=RenamedOption, help=argparse.SUPPRESS
    )
    words = "skip sources whose results are complete in DIR and made with this artefact and these options"
    command.add_argument("--resume", action="store_true", help=words)
    words = "parse share I of N only, such as 2/8: every photo is in one of them, on every machine in the same one"
    add_shard(command, words)
    words = "parse photos on a Ray cluster (extra `ray`): auto, HOST:PORT, or local to start one on this machine"
    command.add_argument("--ray", metavar="ADDRESS", help=words)
    add_megapixels(command)
    command.add_argument("--json", action="store_true", help="print one JSON line per photo and per video")
    words = f"results of a photo, any of {', '.join(ENDINGS)} (default: map,mosaic; with --format none)"
    command.add_argument("--write", type=several(list(ENDINGS)), metavar="KIND,...", help=words)
    words = f"write {DATASET}, one COCO file for all photos; coco has exact run lengths, coco-polygons polygons"
    command.add_argument("--format", choices=FORMATS, help=words)
    words = (
        "label set of the results: one to which a bridge leads from the artefact's, such as lip, atr or "
        "pascal_person_part, or a .yaml file"
    )
    command.add_argument("--labels", metavar="SET|FILE", help=words)
    words = (
        "decode JPEGs of 2048 pixels and more at a half or less of their size: faster; 0.9 %% of a part map may differ"
    )
    command.add_argument("--draft", action="store_true", help=words)
    words = "parse every Nth frame of a video only (default: 1)"
    command.add_argument("--every", type=whole_number(1), metavar="N", default=1, help=words)
    words = "smooth the parts of a video over time: share of the past, 0 to 0.99; 0.6 is a good value (default: 0, off)"
    command.add_argument("--smooth", type=number(least=0, most=0.99), metavar="S", default=0.0, help=words)
    command.add_argument("--part-maps", action="store_true", help="write the part maps of a video's frames as well")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Parse all sources; return 1 if some could not be read."""
    live = [one for one in options.sources if not isinstance(one, Path)]
    if options.ray:
        check_options(options)
    elif live:
        return parse_live(live[0], options)
    start = time.monotonic()
    batch = find_batch(options)
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.photo_file import reuse_memory

    announce_demo(options.artefact)
    streams, threads = (1, options.threads or 1) if options.ray else _shares(options.jobs, options.threads, batch.todo)
    parser = Parser.load(
        options.artefact, options.engine, threads, options.precision, streams=streams, translation=batch.translation
    )
    reuse_memory(streams)
    spent = TimeSpent()
    try:
        with ExitStack() as stack:
            if batch.rows and batch.todo:
                streams = stack.enter_context(cluster(options.ray, options.jobs, options.threads or 1))
            options.jobs = streams
            stack.enter_context(terminable())  # after Ray, which takes SIGTERM for itself
            loaded = time.monotonic()
            if batch.rows:
                found = pool_outcomes(batch.todo, batch.wanted, options, batch.translation)
            else:
                found = outcomes(parser, batch.todo, batch.wanted, options)
            failed = _parse_all(found, batch, options, spent)
            batch.write_files(options, parser.labels, parser.card.teacher.licence)
    except (KeyboardInterrupt, Terminated) as stop:
        print("\nstopped; --resume continues from here", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else 130
    words = [f"{len(batch.todo) - failed} parsed"]
    words += [f"{batch.done} already there"] if batch.done else []
    words += [f"{failed} failed"] if failed else []
    end = time.monotonic()
    waited = f" in {end - start:.1f} s"
    if spent.photos:
        waited += f": {loaded - start:.1f} s to load {parser.engine.name} ({parser.engine.precision}), "
        waited += spent.words(end - loaded, options.jobs)
    print(f"{', '.join(words)} in {options.output}{waited}", file=sys.stderr)
    return 1 if failed else 0


def _shares(jobs: int | None, threads: int | None, todo: Collection[Job]) -> tuple[int, int | None]:
    """Return the jobs, and the network's threads in each; None leaves those of a single job to the engine."""
    from m2fp_kd.runtime.cores import usable_cores

    cores = usable_cores()
    most = jobs or max(1, cores // (threads or 1))
    if not any(job.is_video for job in todo):
        most = min(most, max(1, len(todo)))
    return most, threads or (max(1, cores // most) if most > 1 else None)


def _parse_all(outcomes: Generator[Outcome], batch: Batch, options: argparse.Namespace, spent: TimeSpent) -> int:
    """Print the outcomes of the jobs, which come in their order, and add their rows and times.

    Returns:
        The number of those that could not be read or whose results have impossible names; they are printed.
    """
    progress, failed = Progress(len(batch.todo)), 0
    with closing(outcomes) as found:
        for index, (job, made_from) in enumerate(batch.todo.items()):
            progress.show(index, printable(job.name))
            outcome = next(found)
            if batch.rows:
                batch.rows.add(job, made_from, outcome)
            if isinstance(outcome, Exception):
                progress.clear()
                words = one_line(outcome)
                words = words if job.name in words else f"{job.name}: {words}"
                print(f"failed: {printable(words)}", file=sys.stderr)
                failed += 1
                continue
            spent.add(outcome["timings_ms"], outcome.get("parsed", 1))
            if options.json:
                progress.clear()
                print_result(json.dumps(outcome))
    progress.clear()
    return failed
