"""Reading of one photo with its part labels and, if the layout has them, its person and instance ids."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ImageFile

from m2fp_kd.data.layouts import Record
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.runtime.geometry import PhotoError, read_photo
from m2fp_kd.runtime.photo_file import PhotoSizeError, check_size, open_image

LABEL_MODES = ("1", "L", "P", "I", "I;16", "I;16B")

LOSSLESS = ("PNG", "BMP", "GIF", "PPM", "TIFF")
"""Formats, as Pillow names them, that keep every index."""

NO_ID = 255
"""Value of unlabelled pixels in id maps of 8 bits, such as the outlines of PASCAL VOC."""


class LabelError(ValueError):
    """A label file that cannot be read, differs in size from its photo, or has values outside the label set."""


class Packed(NamedTuple):
    """A file inside another one, such as a tar.

    Attributes:
        name: its name for messages.
        content: its bytes.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


Source = Path | Packed


@dataclass(frozen=True)
class SourceLabels:
    """The labels of a photo in a mix.

    Attributes:
        source: name of the photo's source.
        table: table of the source.
        parts: uint8 (H, W), labels of the source or its ignore index.
    """

    source: str
    table: PartSets
    parts: np.ndarray


@dataclass
class Photo:
    """One photo in memory. Maps have the photo's own size; a map that the data set lacks is None.

    Attributes:
        name: file name without its ending.
        image: uint8 (H, W, 3), upright RGB.
        parts: uint8 (H, W), part index or the label set's ignore index.
        persons: int32 (H, W), person id, 0 outside persons.
        instances: int32 (H, W), part-instance id, 0 outside instances.
        of_source: labels of the photo's source, in a mix.
    """

    name: str
    image: np.ndarray
    parts: np.ndarray | None = None
    persons: np.ndarray | None = None
    instances: np.ndarray | None = None
    of_source: SourceLabels | None = None


def read_record(record: Record, labels: LabelSet) -> Photo:
    """Read a photo and its maps, and check that they belong together.

    Raises:
        PhotoError: the photo is truncated or not an image.
        LabelError: a map is unreadable or differs in size from the photo.
        ValueError: a part index lies outside `labels`; the message names the file and the values.
    """
    return read_files(record.name, labels, record.image, record.categories, record.persons, record.instances)


def read_files(
    name: str,
    labels: LabelSet,
    image: Source,
    categories: Source | None = None,
    persons: Source | None = None,
    instances: Source | None = None,
) -> Photo:
    """Read a photo and its maps from files or from their bytes; errors as in `read_record`."""
    photo = Photo(name, _read_image(image))
    size = photo.image.shape[:2]
    if categories is not None:
        photo.parts = read_parts(categories, labels)
        _check_size(categories, photo.parts, image, size)
    if persons is not None:
        photo.persons = read_ids(persons)
        _check_size(persons, photo.persons, image, size)
    if instances is not None:
        photo.instances = read_ids(instances)
        _check_size(instances, photo.instances, image, size)
    return photo


def _read_image(source: Source) -> np.ndarray:
    if isinstance(source, Path):
        return read_photo(source)
    try:
        return read_photo(source.content)
    except PhotoError as error:
        raise type(error)(f"{source}{str(error).removeprefix('photo')}") from error


def read_parts(path: Source, labels: LabelSet) -> np.ndarray:
    """Read a part map uint8 (H, W) from a PNG or a MATLAB file (variable `groundtruth`) and check every value."""
    parts = read_map(path)
    labels.check(parts, str(path))
    return parts.astype(np.uint8)


def read_ids(path: Source) -> np.ndarray:
    """Read an id map int32 (H, W), 0 where no id is known: in maps of 8 bits, `NO_ID` marks unlabelled pixels."""
    ids = read_map(path)
    if ids.dtype == np.uint8:
        ids = np.where(ids == NO_ID, 0, ids)
    return ids.astype(np.int32)


def read_map(path: Source) -> np.ndarray:
    """Read an integer map (H, W) from an index PNG (1 to 16 bits) or a MATLAB file (variable `groundtruth`).

    Raises:
        LabelError: the file is unreadable, has colours or more pixels than a photo may have, or its content, whatever
            its name, is of a lossy format.
    """
    if isinstance(path, Path) and path.suffix == ".mat":
        return _read_mat(path)
    try:
        with open_image(path if isinstance(path, Path) else io.BytesIO(path.content)) as image:
            check_size(str(path), *image.size)
            if image.format not in LOSSLESS or "jpeg" in str(image.info.get("compression")):
                raise LabelError(
                    f"{path}: this file is {image.format}, whose compression changes indices; export the label map "
                    "again, as PNG"
                )
            if image.mode not in LABEL_MODES:
                raise LabelError(f"{path}: a label map needs one channel of indices, this file is {image.mode}")
            spread = _spread(image)
            return np.array(image, np.uint8 if image.mode == "1" else None) // spread
    except (LabelError, MemoryError):
        raise
    except PhotoSizeError as error:
        raise LabelError(str(error)) from error
    except Exception as error:  # Pillow raises a different exception for each kind of damage
        raise LabelError(f"{path}: not a readable label map ({error}); fetch or export this file again") from error


def _spread(image: ImageFile.ImageFile) -> int:
    """Return the factor by which Pillow, on loading, multiplies the 2 or 4 bits of a grey PNG to fill 8 bits."""
    stored = str(image.tile[0][3]) if image.tile else ""
    return {"L;2": 85, "L;4": 17}.get(stored, 1)


def _read_mat(path: Path) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["groundtruth"])
    except Exception as error:  # scipy raises a different exception for each kind of damage
        raise LabelError(f"{path}: not a readable MATLAB file ({error}); fetch this file again") from error
    if "groundtruth" not in content:
        raise LabelError(f"{path}: has no variable 'groundtruth'; is this CCP's annotations/pixel-level folder?")
    return content["groundtruth"]


def _check_size(path: Source, label_map: np.ndarray, image_path: Source, size: tuple[int, int]) -> None:
    if label_map.shape != size:
        raise LabelError(
            f"{path}: label map is {label_map.shape[1]}x{label_map.shape[0]} but its photo {image_path} is "
            f"{size[1]}x{size[0]} (upright); give maps of the photo's size"
        )
