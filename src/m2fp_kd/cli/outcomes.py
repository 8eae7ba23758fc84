"""The outcome of each job of `m2fp-kd parse`: its results, or why it has none."""

import argparse
import errno
from collections.abc import Callable, Generator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.in_order import in_order
from m2fp_kd.cli.jobs import Job, Wanted
from m2fp_kd.cli.results import parse_photo
from m2fp_kd.cli.video import parse_video

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser

AHEAD = 16
"""Photos per job whose results wait for that of an earlier, larger photo."""

ERRORS_OF_ONE_FILE = (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""Errors that concern a single file: it is gone, or the disk cannot have its name."""

Outcome = dict[str, Any] | Exception
"""Results of a job, or why it has none."""


def outcomes(
    parser: "Parser", jobs: Mapping[Job, str], wanted: Wanted, options: argparse.Namespace
) -> Generator[Outcome]:
    """Yield the outcomes of the jobs in their order: photos in parallel, and the frames of each video.

    Raises:
        OSError: nothing can be written.
    """

    def photo(pair: tuple[Job, str]) -> Outcome:
        return attempt(lambda: parse_photo(parser, *pair, wanted, options.megapixels, options.draft))

    def video(pair: tuple[Job, str]) -> Outcome:
        return attempt(lambda: parse_video(parser, *pair, wanted, options))

    for is_video, group in groupby(jobs.items(), key=lambda pair: pair[0].is_video):
        if is_video:
            yield from map(video, group)
        else:
            yield from in_order(photo, group, options.jobs, _megapixels, options.megapixels, AHEAD * options.jobs)


def attempt(parse: Callable[[], dict[str, Any]]) -> Outcome:
    """Return the results of a job, or an error that concerns this job only."""
    from m2fp_kd.runtime.photo_file import PhotoError
    from m2fp_kd.runtime.video.reading import VideoError

    try:
        return parse()
    except (PhotoError, VideoError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno not in ERRORS_OF_ONE_FILE:
            raise
        return error


def _megapixels(pair: tuple[Job, str]) -> float:
    from m2fp_kd.runtime.photo_file import look_ahead

    return look_ahead(pair[0].source)
