"""A photo or video that `m2fp-kd parse` parses, its results and their paths."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from m2fp_kd.cli.remote import Remote

ENDINGS = {
    "map": ".png",
    "mosaic": "_mosaic.jpg",
    "json": ".json",
    "masks": "_masks",
    "polygons": "_polygons.json",
    "confidence": "_confidence.png",
}
"""Kind of a photo's result -> the end of its path."""

OF_VIDEOS = ("map", "mosaic")
"""Kinds that videos have too: `map` by `--part-maps`."""

FORMATS = ("coco", "coco-polygons")
"""Formats of one file for all photos. What `--resume` needs of a photo lies in a hidden folder with this name."""

DATASET = "annotations.json"
"""The file for all photos."""


@dataclass(frozen=True)
class Wanted:
    """Results that a call of `m2fp-kd parse` makes beside the JSON lines of videos.

    Attributes:
        kinds: kinds of results of photos, keys of `ENDINGS` and at most one of `FORMATS`.
        part_maps: part maps of the frames of videos.
        facts: what it prints of each photo: parts and people.
    """

    kinds: tuple[str, ...] = ("map", "mosaic")
    part_maps: bool = False
    facts: bool = True

    @property
    def mosaics(self) -> bool:
        """Whether mosaics of photos and videos are made."""
        return "mosaic" in self.kinds


@dataclass(frozen=True)
class Job:
    """A photo or a video to parse.

    Attributes:
        source: file of the photo or video.
        stem: path of its results, without their endings.
        is_video: whether the source is a video.
        remote: where the photo lies, if not on a disk of this machine; the source's last part is its name.
    """

    source: Path
    stem: Path
    is_video: bool
    remote: Remote | None = None

    @property
    def name(self) -> str:
        """Path or address of the photo or video, as results and messages name it."""
        return self.remote.address if self.remote else str(self.source)

    def path(self, kind: str) -> Path:
        """Return the path of a photo's result."""
        if kind in FORMATS:
            return self.stem.parent / f".{kind}" / f"{self.stem.name}.jsonl"
        return Path(f"{self.stem}{ENDINGS[kind]}")

    @property
    def mosaic(self) -> Path:
        """Path of a video's mosaic."""
        return Path(f"{self.stem}_mosaic.mp4")

    @property
    def frames(self) -> Path:
        """Path of a video's results, one JSON line a frame."""
        return Path(f"{self.stem}.jsonl")

    @property
    def part_maps(self) -> Path:
        """Folder of the part maps of a video's frames."""
        return Path(f"{self.stem}_maps")

    def written(self, wanted: Wanted) -> list[Path]:
        """Return the paths of all results; a folder counts as one."""
        if not self.is_video:
            return [self.path(kind) for kind in wanted.kinds]
        mosaic = [self.mosaic] if wanted.mosaics else []
        return [self.frames, *mosaic, *([self.part_maps] if wanted.part_maps else [])]

    def done(self, made_from: str, wanted: Wanted) -> bool:
        """Return whether all results exist and were made from this and from the source as it is.

        Each is written whole or not at all.
        """
        from m2fp_kd.runtime.result_files import recorded

        written = self.written(wanted)
        recording = [self.frames] if self.is_video else written
        if not (all(path.exists() for path in written) and all(recorded(path) == made_from for path in recording)):
            return False
        return not self._changed_after(min(path.stat().st_mtime for path in recording))

    def _changed_after(self, moment: float) -> bool:
        """Return whether the source was written after a moment; a time in the future tells nothing."""
        if self.remote or not self.source.exists():
            return False
        return moment < self.source.stat().st_mtime <= time.time()

    def made_from(self, settings: Sequence[object]) -> str:
        """Return what identifies the origin of the results: a hash of the settings and of the source's name and size.

        Args:
            settings: artefact and options that change the results.
        """
        from m2fp_kd.runtime.files import text_sha256

        on_disk = None if self.remote or not self.source.exists() else self.source.stat().st_size
        size = self.remote.size if self.remote else on_disk
        return text_sha256([*map(str, settings), self.source.name, size])[:16]
