"""The photos and videos that `m2fp-kd parse` finds, and the paths of their results."""

import glob
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

UNREADABLE = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".jxl", ".svg", ".psd", ".xcf")
"""Endings of pictures that are left out; programs convert them to JPEG."""

LONGEST_END = len("_mosaic.jpg")
"""Bytes of the longest text behind a result's stem."""


@dataclass(frozen=True)
class Wanted:
    """Results that a call of `m2fp-kd parse` makes beside part maps of photos and the JSON lines of videos.

    Attributes:
        mosaics: mosaics of photos and videos.
        part_maps: part maps of the frames of videos.
        facts: what it prints of each photo: parts and people.
    """

    mosaics: bool = True
    part_maps: bool = False
    facts: bool = True


@dataclass(frozen=True)
class Job:
    """A photo or a video to parse.

    Attributes:
        source: file of the photo or video.
        stem: path of its results, without their endings.
        is_video: whether the source is a video.
    """

    source: Path
    stem: Path
    is_video: bool

    @property
    def part_map(self) -> Path:
        """Path of a photo's part map."""
        return Path(f"{self.stem}.png")

    @property
    def mosaic(self) -> Path:
        """Path of a photo's or a video's mosaic."""
        return Path(f"{self.stem}_mosaic.{'mp4' if self.is_video else 'jpg'}")

    @property
    def frames(self) -> Path:
        """Path of a video's results, one JSON line a frame."""
        return Path(f"{self.stem}.jsonl")

    @property
    def part_maps(self) -> Path:
        """Folder of the part maps of a video's frames."""
        return Path(f"{self.stem}_maps")

    def written(self, wanted: Wanted) -> list[Path]:
        """Return the paths of all results that are files."""
        mosaic = [self.mosaic] if wanted.mosaics else []
        if not self.is_video:
            return [self.part_map, *mosaic]
        return [self.frames, *mosaic, *([self.part_maps] if wanted.part_maps else [])]

    def done(self, made_from: str, wanted: Wanted) -> bool:
        """Return whether all results exist and were made from this; each is written whole or not at all."""
        if not all(path.exists() for path in self.written(wanted)):
            return False
        return self._recorded() == made_from

    def _recorded(self) -> str | None:
        """Return the origin that the results record."""
        from m2fp_kd.runtime.files import MADE_FROM, read_made_from

        if not self.is_video:
            return read_made_from(self.part_map)
        try:
            with self.frames.open(encoding="utf-8") as lines:
                return json.loads(lines.readline()).get(MADE_FROM)
        except (OSError, ValueError, AttributeError):
            return None

    def made_from(self, settings: Sequence[object]) -> str:
        """Return what identifies the origin of the results: a hash of the settings and of the source's name and size.

        Args:
            settings: artefact and options that change the results.
        """
        from m2fp_kd.runtime.files import text_sha256

        size = self.source.stat().st_size if self.source.exists() else None
        return text_sha256([*map(str, settings), self.source.name, size])[:16]


class Plan(NamedTuple):
    """Result of `plan`.

    Attributes:
        jobs: photos and videos.
        left_out: ending -> number of the pictures in folders that cannot be read.
    """

    jobs: list[Job]
    left_out: Counter[str]


def plan(sources: Sequence[Path], output: Path) -> Plan:
    """Find the photos and videos in `sources` and choose the paths of their results.

    Sources of one name, such as `a.jpg` and `a.png`, have results whose names keep the ending (`a.jpg.png`) and, where
    that is not enough, a hash of the path. A long name is shortened. A file that is found twice is parsed once.

    Args:
        sources: photos, videos, folders (searched with their subfolders) and patterns (`*`, `?`, `[]`, `**`). Results
            keep the structure below a folder, and below the leading folders of a pattern.
        output: folder of the results. Files in it are taken for earlier results and left out.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo or video at all.
        ValueError: a source lies in the output folder.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        for file, name in _files(source, output):
            found.setdefault(os.path.realpath(file), (file, name))
    readable = [pair for pair in found.values() if pair[0].suffix.lower() not in UNREADABLE or pair[0] in sources]
    left_out = Counter(file.suffix.lower() for file, _ in found.values()) - Counter(
        file.suffix.lower() for file, _ in readable
    )
    if not readable:
        kinds = f" that can be read ({named(left_out)})" if left_out else ""
        raise FileNotFoundError(f"no photos or videos{kinds} in {', '.join(map(str, sources))}")
    return Plan([Job(file, output / stem, is_video(file)) for file, stem in _apart(readable)], left_out)


def named(left_out: Counter[str]) -> str:
    """Return the pictures that were left out in words, such as `3 .dng, 1 .svg`."""
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(left_out.items()))


def is_video(path: Path) -> bool:
    """Return whether a file has the ending of a video."""
    from m2fp_kd.runtime.video.reading import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def _apart(found: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Return each file with the stem of its results; no two photos, and no two videos, share one."""
    from m2fp_kd.runtime.names import distinct, short_hash, shortened

    def choices(file: Path, name: Path) -> list[tuple[Path, bool]]:
        stem = name.stem if name.stem.strip(".") else name.name
        stems = (stem, name.name, f"{name.name}-{short_hash(os.path.realpath(file))}")
        return [(name.parent / shortened(stem, LONGEST_END), is_video(file)) for stem in stems]

    return [(file, stem) for file, (stem, _) in distinct({file: choices(file, name) for file, name in found}).items()]


def _files(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the files of one source, each with its name in the output folder."""
    from m2fp_kd.runtime.files import find_files

    target, suffixes = _real(output), _suffixes()
    if _real(source).is_relative_to(target):
        raise ValueError(f"{source} lies in the output folder {output}; choose another output folder")
    if source.is_dir():
        root, files = source, find_files(source, suffixes)
    elif source.exists() or source.is_symlink():
        return [(source, Path(source.name))]
    elif glob.has_magic(str(source)):
        root = Path(*takewhile(lambda part: not glob.has_magic(part), source.parts))
        files = _matches(root, source.relative_to(root))
    else:
        raise FileNotFoundError(f"{source}: no such photo, video or folder")
    return [(path, path.relative_to(root)) for path in files if not _real(path).is_relative_to(target)]


def _matches(root: Path, pattern: Path) -> list[Path]:
    """Return the photos and videos below a folder that match a pattern; hidden ones only if the pattern names a dot.

    `**` enters no linked folder, which could contain itself, and matches files too.
    """
    parts = [*pattern.parts, *(["*"] if pattern.name == "**" else [])]
    hidden = any(part.startswith(".") for part in parts)
    return sorted(
        path
        for path in dict.fromkeys(root.glob(str(Path(*parts))))
        if path.suffix.lower() in _suffixes()
        and (path.is_file() or path.is_symlink())
        and (hidden or not any(part.startswith(".") for part in path.relative_to(root).parts))
    )


def _suffixes() -> tuple[str, ...]:
    from m2fp_kd.runtime.files import PHOTO_SUFFIXES
    from m2fp_kd.runtime.video.reading import VIDEO_SUFFIXES

    return PHOTO_SUFFIXES + VIDEO_SUFFIXES + UNREADABLE


def _real(path: Path) -> Path:
    """Return the path without links; one that links to itself is returned as far as it can be followed."""
    return Path(os.path.realpath(path))
