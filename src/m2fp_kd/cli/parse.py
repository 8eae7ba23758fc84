"""`m2fp-kd parse`: part maps, mosaics and other results of photos, videos and folders."""

import argparse
import json
import sys
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.chosen import translation_of, wanted_of
from m2fp_kd.cli.dataset import check_dataset, write_dataset
from m2fp_kd.cli.jobs import DATASET, ENDINGS, FORMATS, Job, Wanted
from m2fp_kd.cli.live import parse_live, source
from m2fp_kd.cli.options import MOST_THREADS, add_artefact, add_megapixels, add_shard, add_threads, announce_demo
from m2fp_kd.cli.outcomes import Outcome, outcomes
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.ray_pool import check_options, check_photos, cluster, pool_outcomes
from m2fp_kd.cli.sources import common_folder, named, plan
from m2fp_kd.cli.table import Rows
from m2fp_kd.cli.time_spent import TimeSpent
from m2fp_kd.command import (
    RenamedOption,
    number,
    one_line,
    print_result,
    printable,
    several,
    teaching,
    whole_number,
)
from m2fp_kd.signals import TERMINATED, Terminated, terminable

if TYPE_CHECKING:
    from m2fp_kd.labels import Translation

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
        "executorch (.pte), litert (.tflite), ncnn (.param); "
        "default: the first that is installed",
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
    paths = [one for one in options.sources if isinstance(one, Path)]
    jobs, left_out = plan(paths, options.output, [one.address for one in live])
    if left_out:
        print(f"left out: {named(left_out)}; convert them to JPEG", file=sys.stderr)
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.photo_file import reuse_memory

    wanted = wanted_of(options, any(job.is_video for job in jobs))
    translation = translation_of(options, wanted)
    all_jobs = _made_from(jobs, options, translation)
    if options.shard:
        jobs = [job for job in jobs if options.shard.holds(job.stem.relative_to(options.output).as_posix())]
    waiting = {job: all_jobs[job] for job in jobs}
    if options.format:
        check_dataset(options.output / DATASET)
    if options.ray:
        check_photos(jobs)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.output, keep=options.resume) if options.ray else None
    if options.resume:
        waiting = _undone(waiting, wanted, rows)
    announce_demo(options.artefact)
    here, threads = (1, options.threads or 1) if options.ray else _shares(options.jobs, options.threads, waiting)
    parser = Parser.load(
        options.artefact, options.engine, threads, options.precision, streams=here, translation=translation
    )
    reuse_memory(here)
    licence, spent = parser.card.teacher.licence, TimeSpent()
    try:
        with ExitStack() as stack:
            if rows and waiting:
                here = stack.enter_context(cluster(options.ray, options.jobs, options.threads or 1))
            options.jobs = here
            stack.enter_context(terminable())  # after Ray, which takes SIGTERM for itself
            loaded = time.monotonic()
            if rows:
                found = pool_outcomes(waiting, wanted, options, translation)
            else:
                found = outcomes(parser, waiting, wanted, options)
            failed = _parse_all(found, waiting, options, spent, rows)
            if rows:
                print(f"{rows.table}: {rows.write_table(all_jobs, wanted, licence)} photos", file=sys.stderr)
            if options.format and options.shard:
                print(f"after all shares, --resume without --shard writes {DATASET}", file=sys.stderr)
            elif options.format:
                dataset, folder = options.output / DATASET, common_folder(options.sources)
                photos = write_dataset(dataset, options.format, all_jobs, folder, parser.labels, licence)
                print(f"{dataset}: {photos} photos, their names relative to {printable(str(folder))}", file=sys.stderr)
    except (KeyboardInterrupt, Terminated) as stop:
        print("\nstopped; --resume continues from here", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else 130
    words = [f"{len(waiting) - failed} parsed"]
    words += [f"{len(jobs) - len(waiting)} already there"] if len(waiting) < len(jobs) else []
    words += [f"{failed} failed"] if failed else []
    end = time.monotonic()
    waited = f" in {end - start:.1f} s"
    if spent.photos:
        waited += f": {loaded - start:.1f} s to load {parser.engine.name} ({parser.engine.precision}), "
        waited += spent.words(end - loaded, options.jobs)
    print(f"{', '.join(words)} in {options.output}{waited}", file=sys.stderr)
    return 1 if failed else 0


def _made_from(jobs: Sequence[Job], options: argparse.Namespace, translation: "Translation | None") -> dict[Job, str]:
    """Return the jobs, each with what identifies the origin of its results: artefact, options and source."""
    from m2fp_kd.runtime.artefact import find_model
    from m2fp_kd.runtime.files import file_sha256, model_files

    made_with = [*map(file_sha256, model_files(find_model(options.artefact))), options.precision]
    made_with += [] if translation is None else [translation.sha256]
    video, photo = [*made_with, options.every, options.smooth], [*made_with, *(["draft"] if options.draft else [])]
    return {job: job.made_from(video if job.is_video else photo) for job in jobs}


def _undone(jobs: Mapping[Job, str], wanted: Wanted, rows: Rows | None) -> dict[Job, str]:
    """Return the jobs that lack results, or their row of the table; tell how many have those of other options."""
    undone = {job for job, made_from in jobs.items() if not job.done(made_from, wanted)}
    if stale := sum(all(path.exists() for path in job.written(wanted)) for job in undone):
        print(f"{stale} made with another artefact or other options, parsed again", file=sys.stderr)
    undone |= {job for job, made_from in jobs.items() if rows and not rows.has(job, made_from)}
    return {job: made_from for job, made_from in jobs.items() if job in undone}


def _shares(jobs: int | None, threads: int | None, waiting: Collection[Job]) -> tuple[int, int | None]:
    """Return the jobs, and the network's threads in each; None leaves those of a single job to the engine."""
    from m2fp_kd.runtime.cores import usable_cores

    cores = usable_cores()
    most = jobs or max(1, cores // (threads or 1))
    if not any(job.is_video for job in waiting):
        most = min(most, max(1, len(waiting)))
    return most, threads or (max(1, cores // most) if most > 1 else None)


def _parse_all(
    outcomes: Generator[Outcome],
    jobs: Mapping[Job, str],
    options: argparse.Namespace,
    spent: TimeSpent,
    rows: Rows | None,
) -> int:
    """Print the outcomes of all jobs.

    Args:
        outcomes: outcomes of the jobs, in their order; closed at the end.
        jobs: each job with what identifies the origin of its results.
        options: options of the command.
        spent: gets the time of every job.
        rows: gets the row of every job.

    Returns:
        The number of those that could not be read or whose results have impossible names; they are printed.
    """
    progress, failed = Progress(len(jobs)), 0
    with closing(outcomes) as found:
        for index, (job, made_from) in enumerate(jobs.items()):
            progress.show(index, printable(job.name))
            outcome = next(found)
            if rows:
                rows.add(job, made_from, outcome)
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
