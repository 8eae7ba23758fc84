"""Pictures of a photo beside the true part map and the part map of each model."""

import io
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from m2fp_kd.evaluation.metrics import miou as metric
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.mosaic import overlay

GAP = 6

LONGEST = 320
"""Longest side of a picture in pixels."""


@dataclass(frozen=True)
class PictureFile:
    """The strip of a picture beside a report.

    Attributes:
        name: name of the photo.
        file: path of the strip relative to the report.
    """

    name: str
    file: str


@dataclass(frozen=True)
class Picture:
    """A photo and the part maps to show beside it.

    Attributes:
        name: name of the photo.
        photo: uint8 (H, W, 3) RGB.
        maps: "truth" or a model's key -> part map uint8 (H, W), in the order of display.
    """

    name: str
    photo: NDArray[np.uint8]
    maps: dict[str, NDArray[np.uint8]]

    def __post_init__(self) -> None:
        for key, part_map in self.maps.items():
            if part_map.shape != self.photo.shape[:2]:
                raise ValueError(f"{self.name}: {key} map {part_map.shape} does not fit photo {self.photo.shape[:2]}")

    def miou(self, key: str, labels: LabelSet) -> float | None:
        """Return a map's mIoU (0..1) on this photo alone; None if the photo has no labelled pixel."""
        truth = self.maps.get("truth")
        if truth is None:
            return None
        matrix = metric.confusion(truth, self.maps[key], labels.num_parts, labels.ignore_index)
        return metric.miou(matrix) if matrix.any() else None


def reduced(picture: Picture, longest: int) -> Picture:
    """Return the picture with its longest side at most `longest` pixels."""
    photo = Image.fromarray(picture.photo)
    scale = min(1.0, longest / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    maps = {
        key: np.asarray(Image.fromarray(part_map).resize(size, Image.Resampling.NEAREST))
        for key, part_map in picture.maps.items()
    }
    return Picture(picture.name, np.asarray(photo.resize(size, Image.Resampling.BILINEAR)), maps)


def panels(picture: Picture, labels: LabelSet, longest: int = LONGEST) -> dict[str, Image.Image]:
    """Return the photo (key "photo") and one overlay per map, longest side at most `longest` pixels."""
    small = reduced(picture, longest)
    shown = {"photo": Image.fromarray(small.photo)}
    for key, part_map in small.maps.items():
        shown[key] = Image.fromarray(overlay(small.photo, part_map, labels))
    return shown


def masks(picture: Picture, labels: LabelSet) -> dict[str, dict[str, Any]]:
    """Return the maps in Weights & Biases' format for masks over a photo: key -> pixels and names of the parts."""
    names = dict(enumerate(labels.parts)) | {labels.ignore_index: "ignored"}
    return {key: {"mask_data": part_map, "class_labels": names} for key, part_map in picture.maps.items()}


def strip(picture: Picture, labels: LabelSet) -> Image.Image:
    """Return the panels side by side as one image, for logs and notebooks."""
    row = list(panels(picture, labels).values())
    width, height = row[0].size
    canvas = Image.new("RGB", (len(row) * (width + GAP) - GAP, height), "white")
    for index, panel in enumerate(row):
        canvas.paste(panel, (index * (width + GAP), 0))
    return canvas


def data_uri(image: Image.Image) -> str:
    """Encode an image as a JPEG data URI, without chroma subsampling because colours identify the parts."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")
