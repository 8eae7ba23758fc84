"""The part map from logits at stride 4 equals that of interpolating every pixel."""

import numpy as np
import pytest

from m2fp_kd.runtime.part_map import upsampled_argmax
from m2fp_kd.runtime.resize import bilinear


def everything_interpolated(logits):
    rows, columns = (bilinear(side, 4 * side) for side in logits.shape[1:])
    return rows.rows(columns.columns(logits)).argmax(axis=0)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (7, 16, 16), (20, 9, 13), (59, 8, 24)])
@pytest.mark.parametrize("patches", [False, True])
def test_equals_interpolating_everything(shape, patches):
    random = np.random.default_rng(0)
    logits = random.normal(size=shape).astype(np.float32)
    if patches:  # larger regions of one part, as photos have them
        logits += 9 * (np.arange(shape[0])[:, None, None] == np.indices(shape[1:]).sum(0) // 5 % shape[0])
    part_map = upsampled_argmax(logits)
    assert part_map.dtype == np.uint8 and part_map.shape == (4 * shape[1], 4 * shape[2])
    np.testing.assert_array_equal(part_map, everything_interpolated(logits))


def test_a_part_that_no_sample_prefers_may_win_between_them():
    """Two parts that are each other's worst, and a third that is second everywhere."""
    logits = np.array([[[3.0, -3.0]], [[-3.0, 3.0]], [[1.0, 1.0]]], np.float32)
    assert upsampled_argmax(logits)[0].tolist() == [0, 0, 0, 2, 2, 1, 1, 1]


def test_the_first_of_equal_parts_wins():
    assert not upsampled_argmax(np.zeros((3, 4, 4), np.float32)).any()
