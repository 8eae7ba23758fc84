"""The photos and videos of one call of `m2fp-kd parse`, and the files about all of them."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2fp_kd.cli.chosen import translation_of, wanted_of
from m2fp_kd.cli.dataset import check_dataset, write_dataset
from m2fp_kd.cli.jobs import DATASET, Job, Wanted
from m2fp_kd.cli.ray_pool import check_photos
from m2fp_kd.cli.sources import common_folder, named, plan
from m2fp_kd.cli.table import Rows
from m2fp_kd.command import printable

if TYPE_CHECKING:
    from m2fp_kd.labels import LabelSet, Translation


@dataclass(frozen=True)
class Batch:
    """The jobs of a call. Each stands with what identifies the origin of its results: artefact, options and source.

    Attributes:
        wanted: results to make of each.
        translation: to the label set of the results; None where it is the artefact's own.
        jobs: all jobs of the sources.
        todo: those that the call parses: of its share, and with `--resume` without results.
        done: number of those of its share that have results.
        rows: rows of the table of `--ray`; None without it.
    """

    wanted: Wanted
    translation: "Translation | None"
    jobs: Mapping[Job, str]
    todo: Mapping[Job, str]
    done: int
    rows: Rows | None

    def write_files(self, options: argparse.Namespace, labels: "LabelSet", licence: str | None) -> None:
        """Write the table of `--ray` and the COCO file of `--format` about all photos that have results.

        Args:
            options: options of the command.
            labels: label set of the results.
            licence: licence of the artefact, which covers its results; None where it is not known.
        """
        if self.rows:
            photos = self.rows.write_table(self.jobs, self.wanted, licence)
            print(f"{self.rows.table}: {photos} photos", file=sys.stderr)
        if options.format and options.shard:
            print(f"after all shares, --resume without --shard writes {DATASET}", file=sys.stderr)
        elif options.format:
            dataset, folder = options.output / DATASET, common_folder(options.sources)
            photos = write_dataset(dataset, options.format, self.jobs, folder, labels, licence)
            print(f"{dataset}: {photos} photos, their names relative to {printable(str(folder))}", file=sys.stderr)


def find_batch(options: argparse.Namespace) -> Batch:
    """Find the jobs of a call, and create the folder of its results.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo or video at all.
        ValueError: sources and options do not go together, or the folder has files that another program wrote.
    """
    paths = [one for one in options.sources if isinstance(one, Path)]
    addresses = [one.address for one in options.sources if not isinstance(one, Path)]
    found, left_out = plan(paths, options.output, addresses)
    if left_out:
        print(f"left out: {named(left_out)}; convert them to JPEG", file=sys.stderr)
    wanted = wanted_of(options, any(job.is_video for job in found))
    translation = translation_of(options, wanted)
    jobs = _made_from(found, options, translation)
    share = jobs
    if options.shard:
        share = {job: origin for job, origin in jobs.items() if options.shard.holds(_name(job, options.output))}
    if options.format:
        check_dataset(options.output / DATASET)
    if options.ray:
        check_photos(share)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = Rows(options.output, keep=options.resume) if options.ray else None
    todo = _undone(share, wanted, rows) if options.resume else share
    return Batch(wanted, translation, jobs, todo, len(share) - len(todo), rows)


def _name(job: Job, output: Path) -> str:
    """Return the name by which shares are divided, the same on every machine."""
    return job.stem.relative_to(output).as_posix()


def _made_from(jobs: Sequence[Job], options: argparse.Namespace, translation: "Translation | None") -> dict[Job, str]:
    """Return the jobs, each with what identifies the origin of its results."""
    from m2fp_kd.runtime.artefact import find_model
    from m2fp_kd.runtime.files import file_sha256, model_files

    made_with = [*map(file_sha256, model_files(find_model(options.artefact))), options.precision]
    made_with += [] if translation is None else [translation.sha256]
    video, photo = [*made_with, options.every, options.smooth], [*made_with, *(["draft"] if options.draft else [])]
    return {job: job.made_from(video if job.is_video else photo) for job in jobs}


def _undone(jobs: Mapping[Job, str], wanted: Wanted, rows: Rows | None) -> dict[Job, str]:
    """Return the jobs that lack results, or their row of the table; print how many have results of other options."""
    undone = {job for job, made_from in jobs.items() if not job.done(made_from, wanted)}
    if stale := sum(all(path.exists() for path in job.written(wanted)) for job in undone):
        reasons = "made with another artefact or other options, or before the photo changed"
        print(f"{stale} {reasons}; parsed again", file=sys.stderr)
    undone |= {job for job, made_from in jobs.items() if rows and not rows.has(job, made_from)}
    return {job: made_from for job, made_from in jobs.items() if job in undone}
