"""Cuts are found; motion, pans and flashes are none."""

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.placed import Placed
from m2fp_kd.runtime.video.cuts import Cuts

RNG = np.random.default_rng(5)


def scene(height: int = 180, width: int = 320) -> np.ndarray:
    """A random picture with large and small structures."""
    layers = (
        Image.fromarray(RNG.integers(0, 256, (cells, 2 * cells, 3), np.uint8)).resize((width, height), 3)
        for cells in (3, 9, 40)
    )
    return np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8)


def cuts(*frames: np.ndarray) -> list[bool]:
    found = Cuts()
    return [found(Placed.of(np.ascontiguousarray(frame), Geometry(160))) for frame in frames]


@pytest.mark.parametrize("darker", [1, 5])
def test_other_scenes(darker):
    assert cuts(*(scene() // darker for _ in range(6))) == [False] + [True] * 5


@pytest.mark.parametrize("step", [1, 5, 10, 20])
def test_a_pan(step):
    wide = scene(width=900)
    assert not any(cuts(*(wide[:, left : left + 320] for left in range(0, 500, step))))


def test_a_flash_a_fade_and_an_even_wall():
    still = scene()
    flash = np.clip(still * 1.8, 0, 255).astype(np.uint8)
    assert not any(cuts(still, flash, still, *(still // share for share in (1, 2, 3))))
    wall = np.full_like(still, 120)
    walker = wall.copy()
    walker[60:, 100:140] = (200, 30, 30)
    moved = wall.copy()
    moved[60:, 220:260] = (200, 30, 30)
    assert not any(cuts(wall, walker, moved, wall))


def test_a_person_close_to_the_camera():
    still = scene()
    frames = []
    for left in range(0, 200, 20):
        frame = still.copy()
        frame[:, left : left + 110] = (30, 40, 160)
        frames.append(frame)
    assert not any(cuts(*frames))
