"""Writing of synthetic scenes in M2FP's layout."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from m2fp_kd.runtime.files import atomic_path

from .scene import draw_scene

JPEG_QUALITY = 90
MAPS = {"Category_ids": "parts", "Human_ids": "persons", "Instance_ids": "instances"}
SPLITS = ("Training", "Validation")


def write_dataset(
    folder: str | Path, split: str, seeds: Iterable[int], size: int | tuple[int, int], persons: tuple[int, int] = (1, 4)
) -> None:
    """Write one scene per seed to `folder/split/{Images,Category_ids,Human_ids,Instance_ids}`.

    Images are JPEG, maps 8-bit PNG; the names come from the seeds. Existing files are replaced.

    Args:
        folder: root of the data set.
        split: `Training` or `Validation`.
        seeds: seeds of the scenes.
        size: as in `draw_scene`.
        persons: as in `draw_scene`.

    Raises:
        ValueError: the split is unknown, or `draw_scene` refuses an argument.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: M2FP's layout has {' and '.join(SPLITS)}")
    root = Path(folder) / split
    for seed in seeds:
        photo = draw_scene(seed, size, persons)
        _save(photo.image, root / "Images" / f"{photo.name}.jpg", quality=JPEG_QUALITY)
        for kind, attribute in MAPS.items():
            _save(getattr(photo, attribute).astype(np.uint8), root / kind / f"{photo.name}.png")


def _save(pixels: np.ndarray, path: Path, **options: Any) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)
