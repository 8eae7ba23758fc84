"""The photos and videos that `m2fp-kd parse` finds."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from m2fp_kd.cli.jobs import DATASET, ENDINGS, Job
from m2fp_kd.cli.remote import Remote, find_photos

UNREADABLE = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".jxl", ".svg", ".psd", ".xcf")
"""Endings of pictures that are left out; programs convert them to JPEG."""

LONGEST_END = max(map(len, ENDINGS.values()))
"""Bytes of the longest text behind a result's stem."""


class Plan(NamedTuple):
    """Result of `plan`.

    Attributes:
        jobs: photos and videos.
        left_out: ending -> number of the pictures in folders that cannot be read.
    """

    jobs: list[Job]
    left_out: Counter[str]


def plan(sources: Sequence[Path], output: Path, addresses: Sequence[str] = ()) -> Plan:
    """Find the photos and videos in `sources` and choose the paths of their results.

    Sources of one name, such as `a.jpg` and `a.png`, have results whose names keep the ending (`a.jpg.png`) and, where
    that is not enough, a hash of the path. A long name is shortened. A file that is found twice is parsed once.

    Args:
        sources: photos, videos, folders (searched with their subfolders) and patterns (`*`, `?`, `[]`, `**`). Results
            keep the structure below a folder, and below the leading folders of a pattern.
        output: folder of the results. Files in it are taken for earlier results and left out.
        addresses: photos, folders and patterns on other file systems; only their photos are found.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo or video at all.
        ValueError: a source lies in the output folder, or a file system cannot be reached.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        for file, name in _files(source, output):
            found.setdefault(os.path.realpath(file), (file, name))
    remotes: dict[Path, Remote] = {}
    for address in addresses:
        for remote, name in find_photos(address):
            file = Path(remote.address)
            remotes[file] = remote
            found.setdefault(remote.address, (file, name))
    readable = [pair for pair in found.values() if pair[0].suffix.lower() not in UNREADABLE or pair[0] in sources]
    left_out = Counter(file.suffix.lower() for file, _ in found.values()) - Counter(
        file.suffix.lower() for file, _ in readable
    )
    if not readable:
        kinds = f" that can be read ({named(left_out)})" if left_out else ""
        raise FileNotFoundError(f"no photos or videos{kinds} in {', '.join(map(str, sources))}")
    jobs = [Job(file, output / stem, is_video(file), remotes.get(file)) for file, stem in _apart(readable)]
    return Plan(jobs, left_out)


def named(left_out: Counter[str]) -> str:
    """Return the pictures that were left out in words, such as `3 .dng, 1 .svg`."""
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(left_out.items()))


def is_video(path: Path) -> bool:
    """Return whether a file has the ending of a video."""
    from m2fp_kd.runtime.video.reading import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def common_folder(sources: Sequence[Path]) -> Path:
    """Return the folder that holds all sources: a single folder itself, or that of a photo or pattern."""
    roots = [source if source.is_dir() else _root(source) for source in sources]
    return Path(os.path.commonpath([os.path.abspath(root) for root in roots]))  # noqa: PTH100  a link stays a link


def _apart(found: Iterable[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Return each file with the stem of its results; no two photos, and no two videos, share one.

    No result has the name of another photo's, as `a_confidence.png` is for both a.jpg and a_confidence.jpg, and no
    folder of results is one of photos.
    """
    from m2fp_kd.runtime.names import distinct, short_hash, shortened

    pairs = list(found)
    folders = {parent for _, name in pairs for parent in name.parents}

    def stems(file: Path, name: Path) -> list[Path]:
        stem = name.stem if name.stem.strip(".") else name.name
        names = (stem, name.name, f"{name.name}-{short_hash(os.path.realpath(file))}")
        return [name.parent / shortened(one, LONGEST_END) for one in names]

    possible = {file: stems(file, name) for file, name in pairs}
    taken = {stem for choices in possible.values() for stem in choices}

    def free(stem: Path) -> bool:
        behind = [ending.partition(".")[0] for ending in ENDINGS.values()]
        bases = [stem.with_name(stem.name.removesuffix(end)) for end in behind if end and len(stem.name) > len(end)]
        inside = any(Path(f"{stem}{end}") in folders for end in ("_masks", "_maps"))
        return not inside and f"{stem}.json" != DATASET and not any(base != stem and base in taken for base in bases)

    choices = {
        file: [(stem, is_video(file)) for stem in (*filter(free, stems[:-1]), stems[-1])]
        for file, stems in possible.items()
    }
    return [(file, stem) for file, (stem, _) in distinct(choices).items()]


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
        root = _root(source)
        files = _matches(root, source.relative_to(root))
    else:
        raise FileNotFoundError(f"{source}: no such photo, video or folder")
    return [(path, path.relative_to(root)) for path in files if not _real(path).is_relative_to(target)]


def _root(source: Path) -> Path:
    """Return the leading folders of a pattern, or the folder of a file."""
    if source.exists() or source.is_symlink():
        return source.parent
    return Path(*takewhile(lambda part: not glob.has_magic(part), source.parts))


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
