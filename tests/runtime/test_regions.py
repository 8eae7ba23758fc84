"""Connected regions against SciPy's."""

import numpy as np
import pytest

from m2fp_kd.runtime.regions import connected_regions


@pytest.mark.parametrize("density", [0.2, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(30, 41), (1, 50), (50, 1)])
def test_equals_scipy(shape, density):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(0).random(shape) < density
    expected, count = ndimage.label(mask)
    found = connected_regions(mask)
    assert len(found) == count
    as_sets = {region.tobytes() for region in found}
    assert as_sets == {(expected == index).tobytes() for index in range(1, count + 1)}
    sizes = [int(region.sum()) for region in found]
    assert sizes == sorted(sizes, reverse=True)


def test_small_regions_are_left_out():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[3:5, 3:5] = True
    assert [region.sum() for region in connected_regions(mask, smallest=2)] == [4]


def test_touching_corners_do_not_join():
    assert len(connected_regions(np.eye(3, dtype=bool))) == 3


def test_nothing_gives_nothing_and_all_gives_one():
    assert connected_regions(np.zeros((4, 4), bool)) == []
    (everything,) = connected_regions(np.ones((4, 4), bool))
    assert everything.all()
