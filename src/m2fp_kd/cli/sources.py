"""The photos and videos that `m2fp-kd parse` finds, and the paths of their results."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path


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

    def written(self, part_maps: bool = False) -> list[Path]:
        """Return the paths of all results; for a video `part_maps` includes its frames' part maps."""
        if not self.is_video:
            return [self.part_map, self.mosaic]
        return [self.frames, self.mosaic, *([self.part_maps] if part_maps else [])]

    def done(self, part_maps: bool = False) -> bool:
        """Return whether all results exist; files and folders are written whole or not at all."""
        return all(path.exists() for path in self.written(part_maps))


def plan(sources: Sequence[Path], output: Path) -> list[Job]:
    """Find the photos and videos in `sources` and choose the paths of their results.

    Args:
        sources: photos, videos, folders (searched with their subfolders) and patterns (`*`, `?`, `[]`, `**`). Results
            keep the structure below a folder, and below the leading folders of a pattern.
        output: folder of the results. Files in it are taken for earlier results and left out.

    Raises:
        FileNotFoundError: a source does not exist, or there is no photo or video at all.
        ValueError: a source lies in the output folder, or two would be written to the same file.
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
                raise ValueError(
                    f"{other.source} and {file} would both be written to {path}; parse them into two folders"
                )
    return list(dict.fromkeys(jobs.values()))


def is_video(path: Path) -> bool:
    """Return whether a file has the ending of a video."""
    from m2fp_kd.runtime.video import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def _files(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Return the files of one source, each with its name in the output folder."""
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
        # Unlike pathlib's glob, this one skips hidden files, and its `**` matches files.
        matches = map(Path, sorted(glob.glob(str(source), recursive=True)))  # noqa: PTH207
        files = [path for path in matches if path.suffix.lower() in suffixes and path.is_file()]
    else:
        raise FileNotFoundError(f"{source}: no such photo, video or folder")
    return [(path, path.relative_to(root)) for path in files if not path.resolve().is_relative_to(target)]
