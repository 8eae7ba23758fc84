"""Files and JSON that `m2fp-kd parse` makes of a photo and of a video."""

import json
import time
from collections import deque
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Any

from m2fp_kd.cli.in_order import in_order
from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.sources import Job, Wanted

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.parsing import Parsing
    from m2fp_kd.runtime.video import Frame


def parse_photo(
    parser: "Parser", job: Job, made_from: str, wanted: Wanted, megapixels: float, draft: bool
) -> dict[str, Any]:
    """Write a photo's part map and, if wanted, its mosaic.

    Args:
        parser: loaded artefact.
        job: the photo and the paths of its results.
        made_from: what identifies the origin of the results, which the part map records.
        wanted: results to make.
        megapixels: largest photo, 10^6 pixels.
        draft: let the decoder reduce a large JPEG, as in `Placed.of_file`.

    Returns:
        Paths of the photo and its results, milliseconds by step and, if wanted, `facts`.

    Raises:
        PhotoError: the photo cannot be read.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.placed import Placed

    parsing = parser(Placed.of_file(job.source, parser.geometry, megapixels, wanted.mosaics, draft))
    parsed = time.perf_counter()
    write_index_png(job.part_map, parsing.part_map, parsing.labels, made_from)
    if wanted.mosaics:
        with atomic_path(job.mosaic) as temporary:
            parsing.mosaic().save(temporary, quality=90, subsampling=0)
    write = time.perf_counter() - parsed
    found = facts(parsing) if wanted.facts else {}
    found["timings_ms"] = _timings(parsing) | {"write": round(1000 * write, 3)}
    mosaic = str(job.mosaic) if wanted.mosaics else None
    return {"photo": str(job.source), "part_map": str(job.part_map), "mosaic": mosaic, **found}


def parse_video(
    parser: "Parser", job: Job, made_from: str, wanted: Wanted, every: int, megapixels: float, jobs: int
) -> dict[str, Any]:
    """Write a video's JSON line for each frame and, if wanted, its mosaic and the frames' part maps.

    Args:
        parser: loaded artefact.
        job: the video and the paths of its results.
        made_from: what identifies the origin of the results, which each JSON line records.
        wanted: results to make; a frame's part map is NUMBER.png, where NUMBER is the frame's index in the video.
        every: parse every Nth frame only. The frame rate of the mosaic is divided by N, so that it plays as long.
        megapixels: sum of the sizes of the frames in work, 10^6 pixels.
        jobs: frames that are parsed at the same time.

    Returns:
        Paths of the video and its results, number of parsed frames, frame rate of the video, and the median
        milliseconds of a frame by step.

    Raises:
        VideoError: the video cannot be read; nothing is written.
        OSError: the results cannot be written.
    """
    import numpy as np

    from m2fp_kd.runtime.files import MADE_FROM, atomic_folder, atomic_path, write_index_png
    from m2fp_kd.runtime.video import read_frames, read_video, write_video

    video = read_video(job.source)
    progress = Progress(video.length)
    timings: list[dict[str, float]] = []

    def parse(frame: "Frame", maps: Path | None) -> tuple["Frame", dict[str, Any]]:
        """Return a frame, with its mosaic as its image if wanted, and its facts; write its part map."""
        parsing = parser(frame.image)
        if maps:
            write_index_png(maps / f"{frame.index:06}.png", parsing.part_map, parsing.labels)
        drawn = np.asarray(parsing.mosaic(every_part=True)) if wanted.mosaics else frame.image
        return replace(frame, image=drawn), facts(parsing)

    def parsed(lines: IO[str], maps: Path | None) -> Generator["Frame"]:
        """Yield the frames, parsed; write the JSON line of each."""
        frames = read_frames(job.source, every)
        results = in_order(partial(parse, maps=maps), frames, jobs, _frame_megapixels, megapixels, 2 * jobs)
        with closing(results):
            for frame, found in results:
                time_s = round(float(frame.ticks * video.tick), 6)
                lines.write(json.dumps({"frame": frame.index, "time_s": time_s, MADE_FROM: made_from, **found}) + "\n")
                timings.append(found["timings_ms"])
                progress.show(frame.index + 1, str(job.source))
                yield frame

    with (
        atomic_folder(job.part_maps) if wanted.part_maps else nullcontext() as maps,
        atomic_path(job.frames) as json_lines,
        atomic_path(job.mosaic) if wanted.mosaics else nullcontext() as mosaics,
        json_lines.open("w", encoding="utf-8") as lines,
        closing(parsed(lines, maps)) as frames,
    ):
        if mosaics:
            write_video(mosaics, frames, replace(video, rate=video.rate / every))
        else:
            deque(frames, maxlen=0)
    return {
        "video": str(job.source),
        "frames": str(job.frames),
        "mosaic": str(job.mosaic) if wanted.mosaics else None,
        "part_maps": str(job.part_maps) if wanted.part_maps else None,
        "parsed": len(timings),
        "frame_rate": round(float(video.rate), 3),
        "timings_ms": {step: round(median(one[step] for one in timings), 3) for step in timings[0]},
    }


def _frame_megapixels(frame: "Frame") -> float:
    return frame.image.size / 3e6


def facts(parsing: "Parsing") -> dict[str, Any]:
    """Return the shares of the parts, the people and the milliseconds by step of a photo or frame."""
    return {
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": _timings(parsing),
    }


def _timings(parsing: "Parsing") -> dict[str, float]:
    return {step: round(value, 3) for step, value in parsing.timings.items()}
