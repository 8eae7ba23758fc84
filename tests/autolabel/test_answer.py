"""The labels of a photo."""

import numpy as np

from m2fp_kd.autolabel.answer import Answer


def test_pixels_below_the_confidence_are_ignored():
    parts, confidence = np.array([[0, 1, 2]], np.uint8), np.array([[0.5, 0.49, 0.9]], np.float32)
    found = Answer(parts, confidence).labels(0.5, 255)
    assert found.dtype == np.uint8 and found.tolist() == [[0, 255, 2]]
    assert Answer(parts, confidence).labels(0, 255).tolist() == [[0, 1, 2]]
