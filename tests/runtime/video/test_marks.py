"""Ids in mosaics: one colour for each, on the photo only."""

import numpy as np

from m2fp_kd.runtime.mosaic import GAP
from m2fp_kd.runtime.video.marks import COLOURS, id_colour, mark_people
from tests.runtime.video.scenes import GREEN, Drawn, parsing


def test_colours_follow_ids():
    assert len({id_colour(number) for number in range(1, COLOURS + 1)}) == COLOURS
    assert id_colour(COLOURS + 1) == id_colour(1) != (0, 0, 0)
    scenes = [[Drawn(10), Drawn(100, GREEN)], [Drawn(100, GREEN), Drawn(10)]]
    for people, ids in zip(scenes, ([1, 2], [2, 1]), strict=True):
        result = parsing(people, "persons")
        plain, sheet = result.mosaic(every_part=True), result.mosaic(every_part=True)
        mark_people(sheet, result, ids)
        before, after = np.asarray(plain), np.asarray(sheet)
        scale = (after.shape[1] - 3 * GAP) / 2 / 160
        middle = GAP + round(60 * scale)  # at the height of the bodies
        assert tuple(after[middle, GAP + round(10 * scale) + 1]) == id_colour(1)
        assert tuple(after[middle, GAP + round(124 * scale) - 2]) == id_colour(2)
        changed = np.flatnonzero((before != after).any(axis=(0, 2)))
        assert changed.max() < GAP + 160 * scale, "the parts beside the photo are as before"


def test_a_frame_without_people():
    result = parsing([], "regions")
    sheet = result.mosaic(every_part=True)
    mark_people(sheet, result, [])
    np.testing.assert_array_equal(np.asarray(sheet), np.asarray(result.mosaic(every_part=True)))
