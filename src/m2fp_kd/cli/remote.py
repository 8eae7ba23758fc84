"""Photos on file systems that fsspec knows, such as S3: their list, and a copy of each while it is parsed."""

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple


class Remote(NamedTuple):
    """A photo on a file system.

    Attributes:
        address: its address, such as `s3://BUCKET/photos/a.jpg`.
        size: bytes; None where the server does not say.
    """

    address: str
    size: int | None


def find_photos(address: str) -> list[tuple[Remote, Path]]:
    """Return the photos that an address names, each with its path below the address's folder.

    Args:
        address: a photo, a folder (searched with its subfolders) or a pattern (`*`, `?`, `[]`, `**`).

    Raises:
        FileNotFoundError: there is no photo.
        ValueError: the file system is not known, cannot be reached, or has no such file or folder.
    """
    from m2fp_kd.data.sharded.urls import reached
    from m2fp_kd.runtime.files import PHOTO_SUFFIXES

    with reached(address):
        root, found = _listed(address)
    photos = [
        (Remote(url, size), Path(path.relative_to(root)))
        for url, path, size in found
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not photos:
        raise FileNotFoundError(f"no photos in {address}")
    return photos


def _listed(address: str) -> tuple[PurePosixPath, list[tuple[str, PurePosixPath, int | None]]]:
    """Return the folder of an address, and address, path and size of each file that it names."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address)
    found: dict[str, Any]
    if glob.has_magic(path):
        leading = path[: min(path.find(letter) for letter in "*?[" if letter in path)]
        root, found = leading.rpartition("/")[0], system.glob(path, detail=True)
        found = {name: info for name, info in found.items() if info["type"] == "file"}
    elif system.isdir(path):
        root, found = path, system.find(path, detail=True)
    else:
        root, found = path.rpartition("/")[0], {path: system.info(path)}
    files = [(system.unstrip_protocol(name), PurePosixPath(name), info.get("size")) for name, info in found.items()]
    return PurePosixPath(root), sorted(files)


@contextmanager
def copied(address: str, name: str) -> Iterator[Path]:
    """Yield a copy of a photo in the folder for temporary files, under a name.

    Raises:
        PhotoError: the photo cannot be read there; the message names the address.
        OSError: the disk for temporary files is full.
    """
    from fsspec.core import url_to_fs

    from m2fp_kd.data.sharded.urls import reached
    from m2fp_kd.runtime.photo_file import PhotoError

    with tempfile.TemporaryDirectory(prefix="m2fp-kd-photo-") as folder:
        file = Path(folder) / name
        with reached(address, PhotoError):
            system, path = url_to_fs(address)
            system.get_file(path, str(file))
        try:
            yield file
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(file), address)) from error
