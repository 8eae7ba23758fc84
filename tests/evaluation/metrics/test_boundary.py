"""Boundary IoU and boundary F against closed forms and slow definitions."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt

from m2fp_kd.evaluation.metrics.boundary import Boundary, boundary_counts, boundary_f, boundary_iou

SIZE = (300, 400)
CLOSE = 5
"""One percent of the diagonal of `SIZE`, in pixels."""


def square(left: int, side: int = 60) -> np.ndarray:
    part_map = np.zeros(SIZE, np.uint8)
    part_map[100 : 100 + side, left : left + side] = 1
    return part_map


def blobs(seed: int) -> np.ndarray:
    """A part map (40, 60) of patches, and ignored pixels (255) for seeds above 0."""
    random = np.random.default_rng(seed)
    part_map = random.integers(0, 4, (8, 12), np.uint8).repeat(5, 0).repeat(5, 1)
    part_map[random.random(part_map.shape) < 0.02] = 3
    part_map[random.random(part_map.shape) < 0.05 * (seed > 0)] = 255
    return part_map


def test_equal_maps_score_one():
    counts = boundary_counts(square(50), square(50), 3)
    np.testing.assert_array_equal(boundary_iou(counts), [1, 1, np.nan])
    np.testing.assert_array_equal(boundary_f(counts), [1, 1, np.nan])


@pytest.mark.parametrize("shift", [1, 3, 5])
def test_the_rings_of_a_shifted_square_overlap_as_computed(shift):
    side, inside = 60, 60 - 2 * CLOSE
    ring = side**2 - inside**2
    overlap = side * (side - shift) - (2 * inside**2 - inside * (inside - shift))
    counts = boundary_counts(square(50), square(50 + shift), 2)
    assert boundary_iou(counts)[1] == overlap / (2 * ring - overlap)
    assert boundary_f(counts)[1] == 1, "all contours are within five pixels"


@pytest.mark.parametrize(("shift", "expected"), [(CLOSE, 1), (CLOSE + 1, 0)])
def test_a_straight_border_is_found_within_the_distance(shift, expected):
    truth, prediction = (np.zeros(SIZE, np.uint8) for _ in range(2))
    truth[:, 200:], prediction[:, 200 + shift :] = 1, 1
    assert boundary_f(boundary_counts(truth, prediction, 2)).tolist() == [expected] * 2


def test_f_is_the_harmonic_mean_of_precision_and_recall():
    """The prediction invents a second square of the same size far away: precision 1/2, recall 1."""
    prediction = square(50) | square(250)
    assert boundary_f(boundary_counts(square(50), prediction, 2))[1] == pytest.approx(2 / 3)


def test_a_missed_and_an_invented_part_score_zero():
    nothing = np.zeros(SIZE, np.uint8)
    for truth, prediction in ((square(50), nothing), (nothing, square(50))):
        counts = boundary_counts(truth, prediction, 2)
        assert boundary_iou(counts)[1] == boundary_f(counts)[1] == 0


def test_a_map_of_one_part_has_a_frame_and_no_contour():
    counts = boundary_counts(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8), 1)
    assert boundary_iou(counts).tolist() == [1] and np.isnan(boundary_f(counts)).all()
    assert counts[0, 0] == 300 * 400 - (300 - 2 * CLOSE) * (400 - 2 * CLOSE)


def test_ignored_pixels_and_their_borders_do_not_count():
    truth = square(50)
    truth[90:170, 40:120] = 255
    counts = boundary_counts(truth, square(50), 2)
    assert not counts[:, 1].any(), "the square lies in the ignored pixels"
    assert boundary_iou(counts)[0] == 1 and not counts[3:, 0].any()


def test_counts_of_photos_add_up():
    first, second = (boundary_counts(blobs(seed), blobs(0), 4) for seed in (1, 2))
    found = Boundary.of(first + second, ("a", "b", "c", "d"))
    rows = first + second
    expected = rows[0] / (rows[1] + rows[2] - rows[0])
    assert list(found.iou_of.values()) == expected.tolist() and found.iou == pytest.approx(expected.mean())
    assert found.f == pytest.approx(np.mean(list(found.f_of.values())))


def test_absent_parts_have_no_value_and_do_not_count():
    found = Boundary.of(boundary_counts(square(50), square(52), 3), ("background", "torso", "hat"))
    assert found.iou_of["hat"] is None and found.f_of["hat"] is None
    assert found.iou == pytest.approx((found.iou_of["background"] + found.iou_of["torso"]) / 2)


@pytest.mark.parametrize("distance", [0.001, 0.02, 0.05])
def test_bands_equal_those_of_eroded_masks(distance):
    """The definition of the paper's authors: a mask without its erosion in a frame of zeros."""
    truth, prediction = blobs(0), np.roll(blobs(0), 1, axis=1)
    pixels = max(1, round(distance * float(np.hypot(40, 60))))
    expected = []
    for part in range(4):
        rings = []
        for mask in (truth == part, prediction == part):
            rings.append(mask & ~binary_erosion(np.pad(mask, 1), np.ones((3, 3)), pixels)[1:-1, 1:-1])
        expected.append((rings[0] & rings[1]).sum() / (rings[0] | rings[1]).sum())
    np.testing.assert_allclose(boundary_iou(boundary_counts(truth, prediction, 4, distance=distance)), expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_contours_are_matched_as_by_distance_maps(seed):
    truth, prediction = blobs(seed), blobs(0)
    ignored = truth == 255
    for part, (found, right) in enumerate(boundary_counts(truth, prediction, 4, distance=0.03)[[4, 6]].T):
        contours = []
        for part_map in (truth, prediction):
            contour = np.zeros(truth.shape, bool)
            for row, column in np.argwhere((part_map == part) & ~ignored):
                for other in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                    inside = 0 <= other[0] < 40 and 0 <= other[1] < 60
                    contour[row, column] |= inside and not ignored[other] and part_map[other] != part
            contours.append(contour)
        near = [distance_transform_edt(~contour) <= 2 for contour in contours]
        assert (found, right) == ((contours[0] & near[1]).sum(), (contours[1] & near[0]).sum())
