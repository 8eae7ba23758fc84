"""Polygons follow the edges of pixels, keep holes, and move by no more than a pixel when they are simplified."""

import tracemalloc

import numpy as np
import pytest

from m2fp_kd.runtime import polygons as module
from m2fp_kd.runtime.crossings import cross_themselves
from m2fp_kd.runtime.polygons import keyholes, polygons, simplified, traced
from tests.runtime.rasterised import beyond_a_pixel, rasterised, sample_maps


def mask(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


def listed(found):
    return [[ring.tolist() for ring in polygon] for polygon in found]


def test_a_pixel_is_a_square_and_nothing_is_no_polygon():
    assert listed(polygons(mask("...", ".#."))) == [[[[1, 1], [2, 1], [2, 2], [1, 2]]]]
    assert listed(polygons(mask("#"), at=(5, 7))) == [[[[7, 5], [8, 5], [8, 6], [7, 6]]]]
    assert polygons(np.zeros((4, 5), bool)) == [] == polygons(np.zeros((0, 0), bool))
    assert listed(polygons(np.ones((4, 5), bool))) == [[[[0, 0], [5, 0], [5, 4], [0, 4]]]]


def test_a_hole_of_one_pixel_stays_and_runs_the_other_way():
    ((exterior, hole),) = listed(polygons(mask("###", "#.#", "###")))
    assert exterior == [[0, 0], [3, 0], [3, 3], [0, 3]]
    assert hole == [[2, 1], [1, 1], [1, 2], [2, 2]]


def test_pixels_that_touch_at_a_corner_are_two_regions():
    assert len(polygons(mask("#.", ".#"))) == len(polygons(mask(".#", "#."))) == 2


def test_a_ring_that_touches_itself_becomes_an_exterior_and_a_hole():
    ((exterior, hole),) = traced(mask("###", "#.#", "##."))
    assert len(exterior) == 6 and len(hole) == 4


def test_an_island_in_a_hole_is_a_polygon_of_its_own():
    found = traced(mask("#####", "#...#", "#.#.#", "#...#", "#####", ".....", "#####", "#...#", "#####"))
    assert [len(polygon) for polygon in found] == [2, 1, 2]
    assert found[0][1].min() == 1 and found[2][1][:, 1].min() == 7, "each hole lies in its own region"


@pytest.mark.parametrize("seed", range(3))
def test_traced_masks_are_the_masks_and_rings_are_simple(seed):
    random = np.random.default_rng(seed)
    for _ in range(150):
        one = random.random(random.integers(1, 10, 2)) < random.choice([0.2, 0.5, 0.8])
        found = traced(one)
        np.testing.assert_array_equal(rasterised(found, one.shape), one)
        assert not any(cross_themselves(polygon) for polygon in found)
        assert not any(cross_themselves(polygon) for polygon in polygons(one))
        assert beyond_a_pixel(one, rasterised(polygons(one), one.shape)) == 0


def test_parts_of_people_come_back_to_within_a_pixel():
    exact, points, overlap, total = 0, 0, 0, 0
    for part_map in sample_maps()[:6]:
        for part in np.unique(part_map)[1:]:
            one = part_map == part
            found = polygons(one)
            again = rasterised(found, one.shape)
            assert beyond_a_pixel(one, again) == 0
            assert [len(polygon) for polygon in found] == [len(polygon) for polygon in traced(one)], "holes stay"
            exact += sum(len(ring) for polygon in traced(one) for ring in polygon)
            points += sum(len(ring) for polygon in found for ring in polygon)
            overlap += np.count_nonzero(one & again)
            total += np.count_nonzero(one | again)
    assert points < exact / 2 and overlap / total > 0.9


def test_a_disk_with_a_hole_comes_back_to_within_a_pixel():
    y, x = np.mgrid[:200, :300]
    radius = np.hypot(x - 150, y - 100)
    ring = (radius < 90) & (radius > 40)
    (found,) = polygons(ring)
    assert len(found) == 2 and sum(map(len, found)) < 70
    again = rasterised([found], ring.shape)
    assert beyond_a_pixel(ring, again) == 0 and again.sum() == pytest.approx(ring.sum(), rel=0.02)


def test_rings_that_would_cross_keep_more_corners():
    one = mask("###.#", "#...#", "#.###", "..#..", "####.")
    exact = traced(one)[1]
    assert cross_themselves([module._douglas_peucker(exact[0], 1.0)])
    found = simplified(exact)
    assert not cross_themselves(found) and 5 < len(found[0]) < len(exact[0])


@pytest.mark.parametrize("seed", range(3))
def test_keyholes_give_the_same_mask_in_one_ring(seed):
    masks = pytest.importorskip("pycocotools.mask")
    one = np.ones((60, 80), bool)
    random = np.random.default_rng(seed)
    for _ in range(5):
        top, left = random.integers(2, 45), random.integers(2, 60)
        one[top : top + 9, left : left + 11] = False
    (polygon,) = traced(one)
    assert len(polygon) > 1
    ring = keyholes(polygon)
    np.testing.assert_array_equal(rasterised([[ring]], one.shape), one)
    (encoded,) = masks.frPyObjects([ring.ravel().tolist()], *one.shape)
    assert beyond_a_pixel(one, masks.decode(encoded).astype(bool)) == 0


def test_many_edges_are_compared_in_pieces(monkeypatch):
    square = np.array([[0, 0], [50, 0], [50, 50], [0, 50]])
    inner = np.array([[40, 10], [60, 10], [60, 20], [40, 20]])
    for pairs in (1, 3, 1 << 18):
        monkeypatch.setattr("m2fp_kd.runtime.crossings.PAIRS_AT_ONCE", pairs)
        assert cross_themselves([square, inner]) and not cross_themselves([square, inner - [20, 0]])


def test_holes_are_reached_in_little_memory(monkeypatch):
    angle = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    polygon = [np.rint(radius * circle).astype(int) for radius in (9000, 8000)]
    tracemalloc.start()
    try:
        ring = keyholes(polygon)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 10**8)
    np.testing.assert_array_equal(keyholes(polygon), ring)
