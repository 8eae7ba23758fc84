"""Connected regions against SciPy's, and the runs that they are made of."""

import numpy as np
import pytest

from m2fp_kd.runtime.arrays import bounding_box
from m2fp_kd.runtime.regions import Runs, connected_regions


def check_against_scipy(mask):
    ndimage = pytest.importorskip("scipy.ndimage")
    expected, count = ndimage.label(mask)
    found = connected_regions(mask)
    assert len(found) == count
    as_sets = {region.mask.tobytes() for region in found}
    assert as_sets == {(expected == index).tobytes() for index in range(1, count + 1)}
    for region in found:
        assert region.mask.dtype == bool and region.mask.shape == mask.shape
        assert (region.area, region.box) == (region.mask.sum(), bounding_box(region.mask))
    sizes = [region.area for region in found]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(30, 41), (1, 50), (50, 1)])
def test_equals_scipy(shape, density):
    check_against_scipy(np.random.default_rng(0).random(shape) < density)


def spiral(side):
    """One path, wound inwards."""
    mask = np.zeros((side, side), bool)
    place, step = 0j, 1 + 0j
    for arm in [side - 1, *np.arange(side - 1, 0, -2).repeat(2)]:
        for _ in range(arm):
            mask[int(place.imag), int(place.real)] = True
            place += step
        step *= 1j
    return mask


def comb(side):
    """A comb: columns that meet in the last row only."""
    mask = np.zeros((side, side), bool)
    mask[:, ::2] = mask[-1] = True
    return mask


def serpent(side):
    """One path that runs right and left in turn."""
    mask = np.zeros((side, side), bool)
    mask[::2] = mask[1::4, -1] = mask[3::4, 0] = True
    return mask


@pytest.mark.parametrize("shape", [spiral, comb, serpent])
@pytest.mark.parametrize("turns", range(4))
def test_long_ways_between_the_ends_of_a_region(shape, turns):
    mask = np.rot90(shape(41), turns)
    check_against_scipy(mask)
    assert len(connected_regions(mask)) == 1


def test_small_regions_are_left_out():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[3:5, 3:5] = True
    assert [region.area for region in connected_regions(mask, smallest=2)] == [4]


def test_touching_corners_do_not_join():
    assert len(connected_regions(np.eye(3, dtype=bool))) == 3


def test_an_empty_mask_has_no_region_and_a_full_one_has_one():
    assert connected_regions(np.zeros((4, 4), bool)) == []
    (everything,) = connected_regions(np.ones((4, 4), bool))
    assert everything.mask.all()


@pytest.mark.parametrize("shape", [(23, 31), (1, 9), (9, 1)])
def test_the_places_of_values_are_those_of_their_masks(shape):
    values = np.random.default_rng(1).choice([0, 3, 4, 200], shape, p=[0.7, 0.1, 0.1, 0.1]).astype(np.uint8)
    runs = Runs.of(values)
    found = {number: place for number, *place in runs.places(values[runs.row, runs.start])}
    masks = {int(value): values == value for value in np.unique(values)}
    assert found == {value: [mask.sum(), bounding_box(mask)] for value, mask in masks.items()}
