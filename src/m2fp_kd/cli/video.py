"""Files and JSON that `m2fp-kd parse` makes of a video, a camera or a stream."""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.frames import Parsed, Work, parse_frames
from m2fp_kd.cli.jobs import Job, Wanted
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.results import facts
from m2fp_kd.command import printable

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.video.reading import Frame, Video


@dataclass(frozen=True)
class Drawn:
    """A frame with its results.

    Attributes:
        frame: the frame; its image is the mosaic where one was drawn.
        facts: as in `about` and `facts`, people with their ids.
    """

    frame: "Frame"
    facts: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """The results that frames are recorded as.

    Attributes:
        name: name of the source, printable.
        video: properties of the source.
        job: paths of the results.
        wanted: results to make.
        made_from: what identifies the origin of the results, which each JSON line records.
        draws: draw mosaics, for a file or to be seen.
    """

    name: str
    video: "Video"
    job: Job
    wanted: Wanted
    made_from: str
    draws: bool

    def write(
        self, parser: "Parser", frames: Iterable["Frame"], work: Work, see: Callable[[Drawn], object]
    ) -> dict[str, Any]:
        """Parse frames and write all results, each whole or not at all.

        Args:
            parser: loaded artefact.
            frames: frames of the source.
            work: how they are parsed.
            see: called with each frame after its JSON line was written.

        Returns:
            Paths of the source and its results, number of parsed frames and, by the clock, of those in a second; frame
            rate of the source, and the median milliseconds of a frame by step.

        Raises:
            VideoError: there are no frames, or one cannot be read; nothing is written.
            OSError: the results cannot be written.
        """
        from m2fp_kd.runtime.files import atomic_folder, atomic_path
        from m2fp_kd.runtime.video.writing import write_video

        job, wanted, start = self.job, self.wanted, time.monotonic()
        timings: list[dict[str, float]] = []
        with ExitStack() as stack:
            maps = stack.enter_context(atomic_folder(job.part_maps)) if wanted.part_maps else None
            lines = stack.enter_context(atomic_path(job.frames))
            mosaic = stack.enter_context(atomic_path(job.mosaic)) if wanted.mosaics else None
            results = parse_frames(parser, frames, self.video.tick, work, partial(self._draw, maps=maps))
            drawn = stack.enter_context(closing(self._recorded(results, lines, timings, see)))
            if mosaic:
                write_video(mosaic, drawn, self.video)
            else:
                deque(drawn, maxlen=0)
        seconds = time.monotonic() - start
        return {
            "video": self.name,
            "frames": str(job.frames),
            "mosaic": str(job.mosaic) if wanted.mosaics else None,
            "part_maps": str(job.part_maps) if wanted.part_maps else None,
            "parsed": len(timings),
            "frames_per_second": round(len(timings) / seconds, 2),
            "timings_ms": _medians(timings),
        }

    def _draw(self, parsed: Parsed, maps: Path | None) -> Drawn:
        """Return a frame with its facts and, if wanted, its mosaic; write its part map."""
        import numpy as np

        from m2fp_kd.runtime.files import write_index_png
        from m2fp_kd.runtime.result_files import about
        from m2fp_kd.runtime.video.marks import mark_people

        frame, parsing, ids = parsed
        if maps:
            write_index_png(maps / f"{frame.index:06}.png", parsing.part_map, parsing.labels)
        if self.draws:
            picture = parsing.mosaic(every_part=True)
            mark_people(picture, parsing, ids)
            frame = replace(frame, image=np.asarray(picture))
        found = about(parsing, self.made_from) | facts(parsing)
        found["people"] = [{"id": number, **one} for number, one in zip(ids, found["people"], strict=True)]
        return Drawn(frame, found)

    def _recorded(
        self,
        results: Generator[Drawn],
        path: Path,
        timings: list[dict[str, float]],
        see: Callable[[Drawn], object],
    ) -> Generator["Frame"]:
        """Yield the frames; write a JSON line for each, and add its milliseconds by step to `timings`."""
        with closing(results), path.open("w", encoding="utf-8") as lines:
            for one in results:
                frame = one.frame
                line = {"frame": frame.index, "time_s": round(float(frame.ticks * self.video.tick), 6)}
                lines.write(json.dumps(line | one.facts) + "\n")
                timings.append(one.facts["timings_ms"])
                see(one)
                yield frame


def _medians(timings: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median milliseconds of each step; the first frame of a scene is not smoothed."""
    steps = dict.fromkeys(step for one in timings for step in one)
    return {step: round(median(one.get(step, 0.0) for one in timings), 3) for step in steps}


def parse_video(
    parser: "Parser", job: Job, made_from: str, wanted: Wanted, options: argparse.Namespace
) -> dict[str, Any]:
    """Write a video's JSON line for each frame and, if wanted, its mosaic and the frames' part maps.

    Args:
        parser: loaded artefact.
        job: the video and the paths of its results.
        made_from: what identifies the origin of the results.
        wanted: results to make; a frame's part map is NUMBER.png, where NUMBER is the frame's index in the video.
        options: options of the command. With `every`, the frame rate of the mosaic is divided, so that it plays as
            long.

    Returns:
        As `Recording.write`, with the video's frame rate.

    Raises:
        VideoError: the video cannot be read; nothing is written.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.video.reading import read_frames, read_video

    video, name = read_video(job.source), str(job.source)
    slower = replace(video, rate=video.rate / options.every)
    recording = Recording(name, slower, job, wanted, made_from, draws=wanted.mosaics)
    work = Work(options.jobs, 2 * options.jobs, options.megapixels, options.smooth)
    progress = Progress(video.length)
    frames = read_frames(job.source, options.every)
    found = recording.write(parser, frames, work, lambda one: progress.show(one.frame.index + 1, printable(name)))
    progress.clear()
    sound = "; its sound is not in the mosaic" if video.sound and wanted.mosaics else ""
    print(f"{summary(parser, found)}{sound}", file=sys.stderr)
    return found | {"frame_rate": round(float(video.rate), 3)}


def summary(parser: "Parser", found: dict[str, Any]) -> str:
    """Return number and speed of parsed frames in words, from the result of `Recording.write`."""
    frames, speed, size = found["parsed"], found["frames_per_second"], parser.geometry.size
    engine = f"{parser.engine.name}, {parser.engine.precision}"
    return f"{printable(found['video'])}: {frames} frames, {speed:.1f} frames/s at {size} ({engine})"
