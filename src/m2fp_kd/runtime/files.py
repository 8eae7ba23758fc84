"""Write files atomically, find photos, and write part maps as palette PNGs."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.photo_file import open_image

PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif",
    ".jp2", ".j2k", ".heic", ".heif",
)  # fmt: skip
"""Endings of photos, in any case; `.heic` and `.heif` need the package pillow-heif."""

WRITING = ".writing-"
"""Start of the name of a temporary folder; host, process and a random word follow."""

MADE_FROM = "made_from"
"""Key of the text in a part map that identifies what it was made from."""


PROBE = 1 << 20
"""Bytes to write to find out whether a disk is full."""

RUNS = zlib.Z_RLE
"""Compression of part maps: it looks for runs only, in half of the time, and large files become smaller."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same name; on success it replaces `path` in one step, on any failure it is removed.

    The temporary file lives in a hidden folder beside `path`, hence on the same disk, and keeps its name, so that
    libraries which choose a format by the ending are not misled. Missing parent folders are made. The first call for a
    folder removes the temporary folders in it of processes that were killed.

    Raises:
        OSError: the file cannot be written; the error names `path`. On a full disk it replaces whatever a library
            raises there, such as OpenVINO's "iostream error".
    """
    path = Path(path)
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent.absolute())
        prefix = f"{WRITING}{platform.node()}.{os.getpid()}."
        with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            try:
                yield temporary
            except Exception as error:
                if not isinstance(error, OSError) and (cause := _refused(temporary)):
                    raise cause from error
                raise
            temporary.replace(path)


def _refused(temporary: Path) -> OSError | None:
    """Return the error of the system if it takes no more data for a temporary file, or for one in such a folder."""
    probed = temporary / "probe" if temporary.is_dir() else temporary
    try:
        with probed.open("ab") as file:
            file.write(bytes(PROBE))
    except OSError as error:
        return OSError(error.errno, error.strerror)
    return None


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name a file in errors that name none, such as that of a full disk, or that name its temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and WRITING not in str(error.filename)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@cache
def _remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that no longer run have left in a folder."""
    for path in folder.glob(f"{WRITING}*.*.*"):
        node, pid, _ = path.name.removeprefix(WRITING).rsplit(".", 2)
        if node == platform.node() and pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Like `atomic_path`, for a new folder that replaces an existing one."""
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)


def write_index_png(path: str | Path, part_map: np.ndarray, labels: LabelSet, made_from: str | None = None) -> None:
    """Write a part map, uint8 (H, W), as a palette PNG whose pixel values are the part indices.

    Args:
        path: new file.
        part_map: part indices.
        labels: label set, whose colours become the palette.
        made_from: what identifies the part map's origin; see `read_made_from`.
    """
    texts = PngInfo()
    if made_from is not None:
        texts.add_text(MADE_FROM, made_from)
    with atomic_path(path) as temporary:
        index_image(part_map, labels).save(temporary, format="PNG", pnginfo=texts, compress_type=RUNS)


def read_made_from(path: Path) -> str | None:
    """Return the origin that `write_index_png` recorded in a file; None where there is none or no such PNG."""
    try:
        with open_image(path, ("PNG",)) as image:
            return image.info.get(MADE_FROM)
    except (OSError, SyntaxError, ValueError):
        return None


def index_image(part_map: np.ndarray, labels: LabelSet) -> Image.Image:
    """Return a part map, uint8 (H, W), as a palette image whose pixel values are the part indices."""
    image = Image.fromarray(np.ascontiguousarray(part_map, dtype=np.uint8))
    image.putpalette(labels.palette())
    return image


def printable(text: str | Path) -> str:
    """Return a file name, or a text with one, with bytes that are not UTF-8 as ``\\xb5``, so that it can be written."""
    return os.fsencode(text).decode(errors="backslashreplace")


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(content: Any) -> str:
    """Return the SHA-256 of the JSON text of a value."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says about itself, such as the card of a pretrained backbone; read no tensors.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is broken or says nothing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; correct its path")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")  # then a JSON header of this many bytes
        try:
            header = json.loads(file.read(min(length, path.stat().st_size)))
            metadata = {str(name): str(value) for name, value in header.get("__metadata__", {}).items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is not a safetensors file ({error}); make or copy it again") from error
    if not metadata:
        raise ValueError(f"{path} has no card; for the weights of a network, the .json file beside it describes them")
    return metadata


def model_files(model: Path) -> list[Path]:
    """Return the files of a model: OpenVINO's `.xml` and ncnn's `.param` have their weights in a `.bin`.

    Core ML's model is a folder.
    """
    if model.is_dir():
        return sorted(file for file in model.rglob("*") if file.is_file())
    return [model, *([model.with_suffix(".bin")] if model.suffix in (".xml", ".param") else [])]


def megabytes(model: Path) -> float:
    """Return the size of a model's files, 10^6 bytes."""
    return sum(file.stat().st_size for file in model_files(model)) / 1e6


def find_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder and below it, sorted; hidden files and folders are left out."""
    return find_files(folder, PHOTO_SUFFIXES)


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files with these endings in a folder and below it, sorted; hidden files and folders are left out.

    Linked folders are not entered. Links that lead nowhere are returned. A folder that cannot be read is a warning.
    """
    found = []
    for directory, folders, files in os.walk(folder, onerror=_warn_of_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(directory, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes and (path.is_file() or path.is_symlink())]
    return sorted(found)


def _warn_of_folder(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        warnings.warn(f"{error.filename} is left out: {error.strerror}", stacklevel=2)
