"""What `m2fp-kd parse` is asked to parse, and where the results go."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A photo or a video to parse.

    Attributes:
        source: its file.
        stem: path of what is written for it, without the endings.
        is_video: whether it is one.
    """

    source: Path
    stem: Path
    is_video: bool

    @property
    def part_map(self) -> Path:
        """Of a photo."""
        return Path(f"{self.stem}.png")

    @property
    def mosaic(self) -> Path:
        """Of a photo or of a video."""
        return Path(f"{self.stem}_mosaic.{'mp4' if self.is_video else 'jpg'}")

    @property
    def frames(self) -> Path:
        """Of a video: a line of JSON for each frame."""
        return Path(f"{self.stem}.jsonl")

    @property
    def part_maps(self) -> Path:
        """Of a video, where they are asked for: a folder with a part map of each frame."""
        return Path(f"{self.stem}_maps")

    def written(self, part_maps: bool = False) -> list[Path]:
        """What is written for it."""
        if not self.is_video:
            return [self.part_map, self.mosaic]
        return [self.frames, self.mosaic, *([self.part_maps] if part_maps else [])]

    def done(self, part_maps: bool = False) -> bool:
        """Whether all of it is there; files and folders are only ever there whole."""
        return all(path.exists() for path in self.written(part_maps))


def plan(sources: Sequence[Path], output: Path) -> list[Job]:
    """The photos and videos among `sources` and where their results go.

    Args:
        sources: photos, videos, folders (searched with all that is below them) and patterns (`*`, `?`, `[]`, `**`).
            Below a folder, and below the part of a pattern that is none, results keep the structure.
        output: folder of the results. What lies in it is an earlier result, never a photo.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo at all.
        ValueError: photos lie in the output folder, or two would be written to the same file.
    """
    found = [pair for source in sources for pair in _files(source, output)]
    if not found:
        raise FileNotFoundError(f"no photos or videos in {', '.join(map(str, sources))}")
    jobs: dict[Path, Job] = {}
    for file, name in found:
        job = Job(file, output / name.parent / name.stem, is_video(file))
        for path in job.written():
            other = jobs.setdefault(path, job)
            if other.source.resolve() != job.source.resolve():
                raise ValueError(f"{other.source} and {file} would both be written to {path}; parse them apart")
    return list(dict.fromkeys(jobs.values()))


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video."""
    from m2fp_kd.runtime.video import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def _files(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """The files of one source and the name that each keeps in the output folder."""
    from m2fp_kd.runtime.files import PHOTO_SUFFIXES, find_files
    from m2fp_kd.runtime.video import VIDEO_SUFFIXES

    target, suffixes = output.resolve(), PHOTO_SUFFIXES + VIDEO_SUFFIXES
    if source.resolve().is_relative_to(target):
        raise ValueError(f"{source} lies in the output folder {output}; choose another output folder")
    if source.is_file():
        return [(source, Path(source.name))]
    if source.is_dir():
        root, files = source, find_files(source, suffixes)
    elif glob.has_magic(str(source)):
        root = Path(*takewhile(lambda part: not glob.has_magic(part), source.parts))
        # Unlike pathlib's, this glob leaves out what is hidden, and its `**` finds files.
        matches = map(Path, sorted(glob.glob(str(source), recursive=True)))  # noqa: PTH207
        files = [path for path in matches if path.suffix.lower() in suffixes and path.is_file()]
    else:
        raise FileNotFoundError(f"{source}: no such photo, video or folder")
    return [(path, path.relative_to(root)) for path in files if not path.resolve().is_relative_to(target)]
