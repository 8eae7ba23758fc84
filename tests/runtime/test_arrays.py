"""Probabilities of logits, and boxes around masks."""

import numpy as np

from m2fp_kd.runtime.arrays import bounding_box, sigmoid, softmax


def test_extreme_logits_stay_finite():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1], atol=1e-30)
        np.testing.assert_allclose(softmax(np.array([[1e4, -1e4]])), [[1, 0]], atol=1e-30)


def test_the_box_is_the_smallest_around_the_mask():
    mask = np.zeros((6, 8), bool)
    mask[2, 3] = mask[4, 6] = True
    assert bounding_box(mask) == (3, 2, 7, 5)
