"""Polygons back to masks, by the rule that a pixel is inside where its centre is."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def rasterised(polygons: Iterable[Iterable[np.ndarray]], size: tuple[int, int]) -> np.ndarray:
    """The mask, bool (H, W), of polygons; their holes are left out by the even-odd rule."""
    mask = np.zeros(size, bool)
    centres = np.arange(size[1]) + 0.5
    for polygon in polygons:
        for ring in polygon:
            for (x, y), (to_x, to_y) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                rows = np.arange(min(y, to_y), max(y, to_y))
                if len(rows):
                    mask[rows] ^= centres > (x + (rows + 0.5 - y) * (to_x - x) / (to_y - y))[:, None]
    return mask


def beyond_a_pixel(one: np.ndarray, other: np.ndarray) -> int:
    """Pixels in which two masks differ although the first has no border among them and their eight neighbours."""
    padded = np.pad(one, 1)
    views = [
        padded[row : row + one.shape[0], column : column + one.shape[1]] for row in range(3) for column in range(3)
    ]
    near_border = np.any(views, axis=0) & ~np.all(views, axis=0)
    return np.count_nonzero((one != other) & ~near_border)


def sample_maps() -> list[np.ndarray]:
    """The label maps of the sample, uint8 (H, W) each."""
    return [np.asarray(Image.open(path)) for path in sorted(SAMPLE.rglob("Category_ids/*.png"))]
