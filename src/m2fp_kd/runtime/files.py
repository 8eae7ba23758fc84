"""Write files atomically, find photos, and write part maps as palette PNGs."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from m2fp_kd.labels import LabelSet

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same name; on success it replaces `path` in one step, on any failure it is removed.

    The temporary file lives in a hidden folder beside `path`, hence on the same disk, and keeps its name, so that
    libraries which choose a format by the ending are not misled. Missing parent folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Like `atomic_path`, for a new folder that replaces an existing one."""
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)


def write_index_png(path: str | Path, part_map: np.ndarray, labels: LabelSet) -> None:
    """Write a part map, uint8 (H, W), as a palette PNG whose pixel values are the part indices."""
    with atomic_path(path) as temporary:
        index_image(part_map, labels).save(temporary, format="PNG")


def index_image(part_map: np.ndarray, labels: LabelSet) -> Image.Image:
    """Return a part map, uint8 (H, W), as a palette image whose pixel values are the part indices."""
    image = Image.fromarray(np.ascontiguousarray(part_map, dtype=np.uint8))
    image.putpalette(labels.palette())
    return image


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
            metadata: dict[str, str] = header.get("__metadata__", {})
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a safetensors file ({error}); make or copy it again") from error
    if not metadata:
        raise ValueError(f"{path} has no card; for the weights of a network, the .json file beside it describes them")
    return metadata


def model_files(model: Path) -> list[Path]:
    """Return the files that make up a model: OpenVINO's `.xml` has its weights in a `.bin`."""
    return [model, *([model.with_suffix(".bin")] if model.suffix == ".xml" else [])]


def megabytes(model: Path) -> float:
    """Return the size of a model's files, 10^6 bytes."""
    return sum(file.stat().st_size for file in model_files(model)) / 1e6


def find_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder and below it, sorted; hidden files and folders are left out."""
    return find_files(folder, PHOTO_SUFFIXES)


def find_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files with these endings in a folder and below it, sorted; hidden files and folders are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
