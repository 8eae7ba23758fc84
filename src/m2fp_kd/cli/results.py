"""Files and JSON that `m2fp-kd parse` makes of a photo and of a video."""

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Any

from m2fp_kd.cli.progress import Progress
from m2fp_kd.cli.sources import Job

if TYPE_CHECKING:
    from m2fp_kd.runtime.parser import Parser
    from m2fp_kd.runtime.parsing import Parsing
    from m2fp_kd.runtime.video import Frame


def parse_photo(parser: "Parser", job: Job, made_from: str, megapixels: float) -> dict[str, Any]:
    """Write a photo's part map and mosaic.

    Args:
        parser: loaded artefact.
        job: the photo and the paths of its results.
        made_from: what identifies the origin of the results, which the part map records.
        megapixels: largest photo, 10^6 pixels.

    Returns:
        Paths of the photo and its results, with `facts`.

    Raises:
        PhotoError: the photo cannot be read.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.geometry import read_photo

    start = time.perf_counter()
    photo = read_photo(job.source, megapixels=megapixels)
    read = time.perf_counter()
    parsing = parser(photo)
    parsed = time.perf_counter()
    write_index_png(job.part_map, parsing.part_map, parsing.labels, made_from)
    with atomic_path(job.mosaic) as temporary:
        parsing.mosaic().save(temporary, quality=90, subsampling=0)
    found = facts(parsing)
    found["timings_ms"] |= {"read": _ms(read - start), "write": _ms(time.perf_counter() - parsed)}
    return {"photo": str(job.source), "part_map": str(job.part_map), "mosaic": str(job.mosaic), **found}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def parse_video(parser: "Parser", job: Job, made_from: str, every: int, part_maps: bool) -> dict[str, Any]:
    """Write a video's mosaic, a JSON line for each frame and, on request, the frames' part maps.

    Args:
        parser: loaded artefact.
        job: the video and the paths of its results.
        made_from: what identifies the origin of the results, which each JSON line records.
        every: parse every Nth frame only. The frame rate of the mosaic is divided by N, so that it plays as long.
        part_maps: write the part map of each frame as NUMBER.png, where NUMBER is the frame's index in the video.

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

    def drawn(lines: IO[str], maps: Path | None) -> Iterator["Frame"]:
        """Yield the mosaic's frames; write the JSON line and the part map of each."""
        for frame in read_frames(job.source, every):
            parsing = parser(frame.image)
            found = facts(parsing)
            time_s = round(float(frame.ticks * video.tick), 6)
            lines.write(json.dumps({"frame": frame.index, "time_s": time_s, MADE_FROM: made_from, **found}) + "\n")
            if maps:
                write_index_png(maps / f"{frame.index:06}.png", parsing.part_map, parsing.labels)
            timings.append(found["timings_ms"])
            progress.show(frame.index + 1, str(job.source))
            yield replace(frame, image=np.asarray(parsing.mosaic(every_part=True)))

    folder = atomic_folder(job.part_maps) if part_maps else nullcontext()
    with (
        folder as maps,
        atomic_path(job.frames) as json_lines,
        atomic_path(job.mosaic) as mosaics,
        json_lines.open("w", encoding="utf-8") as lines,
    ):
        write_video(mosaics, drawn(lines, maps), replace(video, rate=video.rate / every))
    return {
        "video": str(job.source),
        "frames": str(job.frames),
        "mosaic": str(job.mosaic),
        "part_maps": str(job.part_maps) if part_maps else None,
        "parsed": len(timings),
        "frame_rate": round(float(video.rate), 3),
        "timings_ms": {step: round(median(one[step] for one in timings), 3) for step in timings[0]},
    }


def facts(parsing: "Parsing") -> dict[str, Any]:
    """Return the shares of the parts, the people and the milliseconds by step of a photo or frame."""
    return {
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": {step: round(value, 3) for step, value in parsing.timings.items()},
    }
