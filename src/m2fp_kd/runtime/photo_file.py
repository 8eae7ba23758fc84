"""Open the file of a photo and check its size before any pixel is decoded."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from m2fp_kd.runtime.counted_file import counted
from m2fp_kd.runtime.jpeg import check_scans
from m2fp_kd.runtime.png import without_metadata

MEGAPIXELS = 256.0
"""Largest photo by default, 10^6 pixels; the largest sensors of telephones have 200."""

LONGEST_SIDE = 65_535
"""Longest side in pixels, the limit of JPEG. A PNG of one column and 10^7 rows is no photo."""

HEIF_SUFFIXES = (".heic", ".heif")

BLOCKS_KEPT = 4
"""Blocks of 16 MB that `reuse_memory` keeps for each photo in memory; 12 megapixels take three."""

_PILLOWS_LIMIT = Lock()


class PhotoError(ValueError):
    """Raised for a photo that cannot be read; the message names it."""


class PhotoSizeError(PhotoError):
    """Raised for a photo that has more pixels, or a longer side, than is allowed."""


def reuse_memory(photos: int) -> None:
    """Let Pillow keep the memory of images for the next ones, for a number of photos in memory at the same time.

    It returns everything by default, and the system takes 20 of the 55 ms of CPU time in which a JPEG of 12 megapixels
    is decoded to find as much again.
    """
    Image.core.set_blocks_max(BLOCKS_KEPT * photos)


@contextmanager
def opened(
    source: str | Path | bytes, formats: tuple[str, ...] | None = None, megapixels: float = MEGAPIXELS
) -> Iterator[Image.Image]:
    """Open a photo; its header is read, its pixels are not.

    Args:
        source: path or bytes of the file.
        formats: Pillow's decoders that the file may reach; None for all.
        megapixels: largest photo, 10^6 pixels.

    Raises:
        PhotoError: the file is broken or no photo, also where the decoder finds that within the context.
        PhotoSizeError: the photo is too large.
        FileNotFoundError: there is no such file.
    """
    name = "photo" if isinstance(source, bytes) else str(source)
    try:
        with _file(source) as file:
            check_scans(file)
            with open_image(counted(without_metadata(file)), formats) as image:
                if image.format == "EPS":  # Pillow would let Ghostscript run the program in the file
                    raise PhotoError(f"{name}: is a PostScript file; convert it to PNG")
                check_size(name, *image.size, megapixels)
                yield image
    except (PhotoError, FileNotFoundError):
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(f"{name}: cannot be read as a photo ({_unknown(source)})") from error
    except Exception as error:  # each of Pillow's decoders reports a broken file by exceptions of its own
        raise PhotoError(f"{name}: cannot be read as a photo ({_cause(error)})") from error


def look_ahead(path: Path) -> float:
    """Return the size of a photo that will be read soon, from its header, and let the system read its file meanwhile.

    Returns:
        10^6 pixels; 0 where the file cannot be read, which `opened` will report.
    """
    try:
        with _file(path) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
            with open_image(counted(without_metadata(file))) as image:
                return image.width * image.height / 1e6
    except Exception:  # each of Pillow's decoders reports a broken file by exceptions of its own
        return 0.0


def _file(source: str | Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if (path := Path(source)).exists() and not (path.is_file() or path.is_dir()):
        raise OSError("not a file")  # opening a pipe would wait for its other end
    return path.open("rb")


def _unknown(source: str | Path | bytes) -> str:
    if not isinstance(source, bytes) and Path(source).suffix.lower() in HEIF_SUFFIXES:
        return "pip install pillow-heif reads this kind, or convert it to JPEG"
    return "of an unknown kind"


@cache
def _register_heif() -> None:
    """Let Pillow read HEIC and HEIF photos, if pillow-heif is installed."""
    with suppress(ModuleNotFoundError):
        import_module("pillow_heif").register_heif_opener()


def _cause(error: Exception) -> str:
    """Return an error's text without the path that the message has already."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def check_size(name: str, width: int, height: int, megapixels: float = MEGAPIXELS) -> None:
    """Check the size of a photo.

    Raises:
        PhotoSizeError: it has more than ``megapixels`` or a side longer than `LONGEST_SIDE`.
    """
    size = f"{name}: has {width} x {height} pixels"
    if max(width, height) > LONGEST_SIDE:
        raise PhotoSizeError(f"{size}, but a side may have {LONGEST_SIDE} at most; crop the photo")
    if (found := width * height / 1e6) > megapixels:
        raise PhotoSizeError(
            f"{size}, {found:.0f} megapixels, but the limit is {megapixels:g}; shrink the photo or raise the limit "
            "(--megapixels N)"
        )


def open_image(file: BinaryIO | Path, formats: tuple[str, ...] | None = None) -> ImageFile.ImageFile:
    """Open an image of any size, without Pillow's own limit, which is a variable of its module; `check_size` has ours.

    Args:
        file: an open file at its start, or its path.
        formats: Pillow's decoders that the file may reach; None for all.
    """
    _register_heif()
    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
