"""One COCO file for all photos of `m2fp-kd parse`, made from what it keeps of each."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from m2fp_kd.cli.jobs import Job

HEAD, OURS = 4096, b'"version": "m2fp-kd '
"""First bytes of a COCO file, and what they hold where `write_dataset` wrote it."""

if TYPE_CHECKING:
    from m2fp_kd.labels import LabelSet


def check_dataset(path: Path) -> None:
    """Check that a COCO file can be written without replacing labels that another program made.

    Raises:
        ValueError: another program's file or a folder is there.
    """
    if path.is_dir() or (path.is_file() and OURS not in _head(path)):
        raise ValueError(f"{path}: was not written by m2fp-kd and would be replaced; choose another folder with -o")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:  # the whole file may be larger than the memory
        return file.read(HEAD)


def write_dataset(
    path: Path, kind: str, jobs: Mapping[Job, str], folder: Path, labels: "LabelSet", licence: str | None
) -> int:
    """Write the COCO file; one photo at a time is in memory.

    Ids count from 1 in the order of the jobs, so that the file does not depend on interruptions.

    Args:
        path: new file.
        kind: member of `FORMATS`.
        jobs: all jobs, each with what its results are made from. Photos without such results are left out.
        folder: folder to which the photos' names are relative.
        labels: label set of the results.
        licence: licence of the artefact, which covers its annotations; None where it is not known.

    Returns:
        The number of photos in it.
    """
    from m2fp_kd import __version__
    from m2fp_kd.runtime.coco import categories, licences
    from m2fp_kd.runtime.files import atomic_path
    from m2fp_kd.runtime.result_files import recorded

    def photos() -> Iterator[Job]:
        return (job for job, made_from in jobs.items() if not job.is_video and recorded(job.path(kind)) == made_from)

    info = {"description": f"parts of persons in the label set {labels.name}", "version": f"m2fp-kd {__version__}"}
    head = {"info": info | {"licence": licence}, "licenses": licences(licence), "categories": categories(labels)}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head).removesuffix("}"))
        count = _list(file, "images", (_image(job, kind, folder) for job in photos()))
        of_photos = (_annotations(job, kind, image) for image, job in enumerate(photos(), 1))
        _list(file, "annotations", (one for photo in of_photos for one in photo))
        file.write("\n}\n")
    return count


def _list(file: IO[str], name: str, entries: Iterator[dict[str, Any]]) -> int:
    """Write a list of entries, one a line, and give them ids from 1; return their number."""
    file.write(f',\n"{name}": [')
    number = 0
    for number, entry in enumerate(entries, 1):
        file.write((",\n" if number > 1 else "\n") + json.dumps({"id": number, **entry}))
    file.write("\n]")
    return number


def _image(job: Job, kind: str, folder: Path) -> dict[str, Any]:
    with job.path(kind).open(encoding="utf-8") as lines:
        size = json.loads(lines.readline())
    name = os.path.relpath(os.path.abspath(job.source), folder)  # noqa: PTH100  a link stays a link
    return {"file_name": Path(name).as_posix(), "height": size["height"], "width": size["width"]}


def _annotations(job: Job, kind: str, image: int) -> Iterator[dict[str, Any]]:
    with job.path(kind).open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            yield {"image_id": image, **json.loads(line)}
