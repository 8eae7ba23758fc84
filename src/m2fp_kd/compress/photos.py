"""Provide the photos for calibration and for checks."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos, Photos, StoredPhotos
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import Photo
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import place


class SpreadPhotos:
    """Photos of one split of a data module, read again at every iteration; synthetic scenes are those of epoch 0.

    Args:
        source: `train` or `val` of a data module.
        labels: label set of the photos.
        limit: largest number of photos, evenly spaced; None for all.
    """

    def __init__(self, source: Sequence[Record] | DrawnPhotos, labels: LabelSet, limit: int | None = None) -> None:
        self.photos: Photos = source if isinstance(source, DrawnPhotos) else StoredPhotos(source, labels)
        count = len(self.photos)
        self.indices = [round(index) for index in np.linspace(0, count - 1, min(count, limit or count))]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Photo]:
        return (self.photos.photo(0, index) for index in self.indices)


def training_canvases(data: ParsingDataModule) -> Callable[[int], Iterator[NDArray[np.uint8]]]:
    """Return a function that yields ``count`` training photos, evenly spaced and placed as in validation.

    Each is uint8 (1, h, w, 3).
    """

    def canvases(count: int) -> Iterator[NDArray[np.uint8]]:
        photos = SpreadPhotos(data.train, data.labels, count)
        return (place(photo.image, data.geometry)[0][None] for photo in photos)

    return canvases
