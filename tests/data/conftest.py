"""Small data sets on disk, and real data sets if they are available."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from m2fp_kd.data.synthetic import draw_scene


@pytest.fixture
def m2fp_folder(tmp_path: Path) -> Path:
    """Six labelled training photos and three validation photos, 48 pixels high and 64 wide, in M2FP's layout."""
    for split, seeds in (("Training", range(6)), ("Validation", range(100, 103))):
        for seed in seeds:
            photo = draw_scene(seed, (48, 64), (1, 2))
            save(tmp_path / split / "Images" / f"{photo.name}.jpg", photo.image)
            save(tmp_path / split / "Category_ids" / f"{photo.name}.png", photo.parts)
            save(tmp_path / split / "Human_ids" / f"{photo.name}.png", photo.persons.astype(np.uint8))
            save(tmp_path / split / "Instance_ids" / f"{photo.name}.png", photo.instances.astype(np.uint8))
    return tmp_path


@pytest.fixture
def ccp_folder(tmp_path: Path) -> Path:
    """Clothing Co-Parsing with 50 photos labelled by pixel and 10 with tags only."""
    folder = tmp_path / "ccp"
    for kind in ("photos", "annotations/pixel-level", "annotations/image-level"):
        (folder / kind).mkdir(parents=True)
    for number in range(60):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(folder / "photos" / f"{number:04d}.jpg")
        level = "pixel-level" if number < 50 else "image-level"
        savemat(folder / "annotations" / level / f"{number:04d}.mat", {"groundtruth": np.ones((48, 64), np.uint8)})
    return folder


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function that finds a real data set by name and skips the test without it."""

    def find(name: str) -> Path:
        base = Path(os.environ.get("M2FP_KD_DATA", Path(__file__).parents[3] / "shared" / "data"))
        if not (base / name).is_dir():
            pytest.skip(f"{base / name} does not exist: set M2FP_KD_DATA to a folder with {name}")
        return base / name

    return find


@pytest.fixture(scope="session")
def scene_log_parts() -> Callable[..., np.ndarray]:
    """Return a function of (seed, flip_permutation, noise, size) that simulates a teacher on a synthetic scene."""
    return _scene_log_parts


def _scene_log_parts(seed: int, flip_permutation: tuple[int, ...], noise: float = 0.5, size: int = 64) -> np.ndarray:
    """Return log parts (2, 20, size, size) like those of a good teacher for a synthetic scene.

    They are softened labels plus smooth and white noise in the logits, drawn separately for the mirrored photo.
    """
    rng = np.random.default_rng(seed)
    parts = draw_scene(seed, size, (1, 3)).parts
    sharp = np.eye(20, dtype=np.float32)[parts].transpose(2, 0, 1)
    shared = 9 * sharp + _smooth(rng, size, 8) * 1.5
    logits = []
    for _ in range(2):
        own = _smooth(rng, size, 12) + rng.normal(size=shared.shape) * 0.2
        logits.append(_blur(shared) + noise * own)
    logits[1] = logits[1][list(flip_permutation)][:, :, ::-1]
    values = np.stack(logits)
    values -= values.max(axis=1, keepdims=True)
    return (values - np.log(np.exp(values).sum(axis=1, keepdims=True))).astype(np.float32)


def _smooth(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    coarse = rng.normal(size=(20, cells, cells)).astype(np.float32)
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)) for plane in coarse]
    )


def _blur(planes: np.ndarray) -> np.ndarray:
    padded = np.pad(planes, [(0, 0), (1, 1), (1, 1)], mode="edge")
    height, width = planes.shape[1:]
    return sum(padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)) / 9
