"""The most probable part of every pixel and its probability."""

import numpy as np
import pytest

from m2fp_kd.runtime import probabilities
from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import Placement, restore_dense
from m2fp_kd.runtime.part_map import part_map
from m2fp_kd.runtime.probabilities import View, most_probable

PLACEMENT = Placement((70, 90), (50, 64), (64, 64))


def logits(seed: int, parts: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(parts, 16, 16)).astype(np.float32)


def test_a_single_view_gives_the_runtimes_part_map():
    view = View(logits(0), PLACEMENT)
    np.testing.assert_array_equal(most_probable([view])[0], part_map(view.logits, PLACEMENT))


@pytest.mark.parametrize("pixels", [1, 900, 1 << 18])
def test_strips_give_what_the_whole_photo_gives(monkeypatch, pixels):
    monkeypatch.setattr(probabilities, "PIXELS_AT_ONCE", pixels)
    views = [View(logits(seed), PLACEMENT) for seed in (0, 1)]
    mean = sum(softmax(restore_dense(view.logits, PLACEMENT), axis=0) for view in views) / 2
    parts, confidence = most_probable(views)
    assert parts.dtype == np.uint8 and confidence.dtype == np.float32
    np.testing.assert_array_equal(parts, mean.argmax(axis=0))
    np.testing.assert_allclose(confidence, mean.max(axis=0), rtol=1e-6)


def test_a_mirrored_view_that_agrees_changes_nothing():
    placement, flip = Placement((70, 90), (64, 64), (64, 64)), (0, 2, 1, 3)
    one = View(logits(2), placement)
    mirrored = View(one.logits[list(flip), :, ::-1], placement, flip)
    for views in ([one, mirrored], [mirrored]):
        for found, expected in zip(most_probable(views), most_probable([one]), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    wrong = View(mirrored.logits, placement, (0, 1, 2, 3))
    assert (most_probable([wrong])[0] != most_probable([one])[0]).any(), "left and right must swap"
