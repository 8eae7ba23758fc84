"""What `m2fp-kd parse` writes for a photo and for a video, and says of them in JSON."""

import json
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


def parse_photo(parser: "Parser", job: Job) -> dict[str, Any]:
    """Write a photo's part map and mosaic.

    Raises:
        PhotoError: it cannot be read.
        OSError: the results cannot be written.
    """
    from m2fp_kd.runtime.files import atomic_path, write_index_png
    from m2fp_kd.runtime.geometry import read_photo

    parsing = parser(read_photo(job.source))
    write_index_png(job.part_map, parsing.part_map, parsing.labels)
    with atomic_path(job.mosaic) as temporary:
        parsing.mosaic().save(temporary, quality=90, subsampling=0)
    return {
        "photo": str(job.source),
        "part_map": str(job.part_map),
        "mosaic": str(job.mosaic),
        **facts(parsing),
    }


def parse_video(parser: "Parser", job: Job, every: int, part_maps: bool) -> dict[str, Any]:
    """Write a video's mosaic and its frames' lines of JSON; its frames' part maps as well, where they are asked for.

    Args:
        every: only each so-manieth frame; the mosaic then has so much fewer in a second and plays as long.
        part_maps: write them, NUMBER.png each, the number being the frame's in the video.

    Returns:
        What is said of the video; milliseconds are medians over its frames.

    Raises:
        VideoError: it cannot be read. Nothing is written then.
        OSError: the results cannot be written.
    """
    import numpy as np

    from m2fp_kd.runtime.files import atomic_folder, atomic_path, write_index_png
    from m2fp_kd.runtime.video import read_frames, read_video, write_video

    video = read_video(job.source)
    progress = Progress(video.length)
    timings: list[dict[str, float]] = []

    def drawn(lines: IO[str], maps: Path | None) -> Iterator["Frame"]:
        """The frames of the mosaic; what else there is to write of each is written as it passes."""
        for frame in read_frames(job.source, every):
            parsing = parser(frame.image)
            said = facts(parsing)
            time_s = round(float(frame.ticks * video.tick), 6)
            lines.write(json.dumps({"frame": frame.index, "time_s": time_s, **said}) + "\n")
            if maps:
                write_index_png(maps / f"{frame.index:06}.png", parsing.part_map, parsing.labels)
            timings.append(said["timings_ms"])
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
    """What was found in a photo or frame: shares of the parts, people, milliseconds by step."""
    return {
        "parts": {part: round(share, 6) for part, share in parsing.shares.items()},
        "people_kind": parsing.people_kind,
        "people": [{"score": person.score, "box": person.box} for person in parsing.people],
        "timings_ms": {step: round(value, 3) for step, value in parsing.timings.items()},
    }
