"""Photos on file systems that fsspec knows, such as S3: their list, and a copy of each while it is parsed."""

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from m2fp_kd.command import one_line


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
        FileNotFoundError: there is no such photo, or no photo there.
        ValueError: the file system is not known, or cannot be reached.
    """
    from m2fp_kd.runtime.files import PHOTO_SUFFIXES

    try:
        root, found = _listed(address)
    except FileNotFoundError:
        raise FileNotFoundError(f"{address}: no such photo or folder") from None
    except Exception as error:  # each file system raises errors of its own
        raise ValueError(f"{address}: cannot be read ({one_line(error)})") from error
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
        PhotoError: the photo cannot be copied; the message names the address.
    """
    from fsspec.core import url_to_fs

    from m2fp_kd.runtime.photo_file import PhotoError

    with tempfile.TemporaryDirectory(prefix="m2fp-kd-photo-") as folder:
        file = Path(folder) / name
        try:
            system, path = url_to_fs(address)
            system.get_file(path, str(file))
        except Exception as error:  # each file system raises errors of its own
            raise PhotoError(f"{address}: cannot be read ({one_line(error)})") from error
        try:
            yield file
        except PhotoError as error:
            raise PhotoError(str(error).replace(str(file), address)) from error
