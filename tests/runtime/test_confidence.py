"""Confidence maps at the photo's own size."""

import tracemalloc

import numpy as np
import pytest

from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.confidence import confidence
from m2fp_kd.runtime.geometry import Placement, restore_dense
from m2fp_kd.runtime.relabel import NEVER
from m2fp_kd.runtime.resize import bilinear

ENLARGED = [
    Placement((300, 400), (48, 64), (64, 64)),
    Placement((413, 127), (64, 20), (64, 32)),
    Placement((900, 2), (64, 1), (64, 32)),
]
OTHERS = [
    Placement((48, 64), (48, 64), (64, 64)),
    Placement((30, 40), (48, 64), (64, 64)),
    Placement((1, 1), (1, 1), (32, 32)),
]


def logits(parts: int, placement: Placement, scale: float, smooth: int, seed: int = 0) -> np.ndarray:
    """Random logits, float32 (P, h, w), that change within `smooth` samples."""
    height, width = (side // 4 for side in placement.canvas)
    coarse = np.random.default_rng(seed).normal(scale=scale, size=(parts, -(-height // smooth), -(-width // smooth)))
    rows, columns = (bilinear(*sides) for sides in zip(coarse.shape[1:], (height, width), strict=True))
    return rows.rows(columns.columns(coarse.astype(np.float32)))


@pytest.mark.parametrize("placement", ENLARGED + OTHERS, ids=lambda one: "x".join(map(str, one.source)))
@pytest.mark.parametrize("parts", [2, 7, 20])
@pytest.mark.parametrize(("scale", "smooth"), [(0.3, 1), (2, 1), (10, 1), (60, 1), (2, 4), (10, 4)])
def test_it_is_the_probability_of_interpolated_logits(placement, parts, scale, smooth):
    values = logits(parts, placement, scale, smooth)
    expected = 255 * softmax(restore_dense(values, placement), axis=0).max(axis=0)
    found = confidence(values, placement)
    assert found.shape == placement.source and found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - np.rint(expected)).mean() < 0.1


def test_parts_that_never_occur_change_nothing():
    values = logits(4, ENLARGED[0], 3, 2)
    never = np.full((2, *values.shape[1:]), NEVER, np.float32)
    found = confidence(np.concatenate([values, never]), ENLARGED[0])
    assert np.abs(found.astype(int) - confidence(values, ENLARGED[0])).max() <= 1


def test_memory_does_not_grow_with_the_photo():
    placement = Placement((1500, 2000), (192, 256), (256, 256))
    values = logits(20, placement, 5, 4)
    tracemalloc.start()
    try:
        found = confidence(values, placement)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - found.nbytes < 10e6
