"""Provide the photos for calibration and for checks."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import Photos
from m2fp_kd.data.reading import Photo
from m2fp_kd.data.spacing import evenly_spaced
from m2fp_kd.runtime.geometry import place


class SpreadPhotos:
    """Photos of a data module, read again at every iteration; synthetic scenes are those of epoch 0.

    Args:
        photos: training or validation photos of a data module.
        limit: largest number of photos, evenly spaced; None for all.
    """

    def __init__(self, photos: Photos, limit: int | None = None) -> None:
        self.photos = photos
        self.indices = evenly_spaced(range(len(photos)), limit)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Photo]:
        return (self.photos.photo(0, index) for index in self.indices)


def training_canvases(data: ParsingDataModule) -> Callable[[int], Iterator[NDArray[np.uint8]]]:
    """Return a function that yields ``count`` training photos, evenly spaced and placed as in validation.

    Each is uint8 (1, h, w, 3).
    """

    def canvases(count: int) -> Iterator[NDArray[np.uint8]]:
        photos = SpreadPhotos(data.training_photos(), count)
        return (place(photo.image, data.geometry)[0][None] for photo in photos)

    return canvases
