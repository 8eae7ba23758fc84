"""Part maps from logits at stride 4 equal those of interpolating every pixel."""

import numpy as np
import pytest

from m2fp_kd.runtime import cells
from m2fp_kd.runtime.arrays import sigmoid, softmax
from m2fp_kd.runtime.geometry import Geometry, Placement, place, restore_dense, restore_map
from m2fp_kd.runtime.part_map import part_map, upsampled_argmax
from m2fp_kd.runtime.resize import bilinear
from tests.runtime.conftest import GOLDEN


def everything_interpolated(logits):
    rows, columns = (bilinear(side, 4 * side) for side in logits.shape[1:])
    return rows.rows(columns.columns(logits)).argmax(axis=0)


def some_logits(shape, patches, seed=0):
    """Normal noise; with patches, larger regions of one part, as photos have them."""
    logits = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if patches:
        logits += 9 * (np.arange(shape[0])[:, None, None] == np.indices(shape[1:]).sum(0) // 5 % shape[0])
    return logits


def assert_most_probable(found, dense):
    """The part map may differ from the argmax of dense logits only where the two best are nearly equal."""
    assert found.dtype == np.uint8 and found.shape == dense.shape[1:]
    behind = dense.max(axis=0) - np.take_along_axis(dense, found[None], axis=0)[0]
    assert behind.max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (7, 16, 16), (20, 9, 13), (59, 8, 24)])
@pytest.mark.parametrize("patches", [False, True])
def test_equals_interpolating_everything(shape, patches):
    logits = some_logits(shape, patches)
    canvas_map = upsampled_argmax(logits)
    assert canvas_map.dtype == np.uint8 and canvas_map.shape == (4 * shape[1], 4 * shape[2])
    np.testing.assert_array_equal(canvas_map, everything_interpolated(logits))


def test_a_part_that_no_sample_prefers_may_win_between_them():
    """Two parts that are each other's worst, and a third that is second everywhere."""
    logits = np.array([[[3.0, -3.0]], [[-3.0, 3.0]], [[1.0, 1.0]]], np.float32)
    assert upsampled_argmax(logits)[0].tolist() == [0, 0, 0, 2, 2, 1, 1, 1]


def test_the_first_of_equal_parts_wins():
    assert not upsampled_argmax(np.zeros((3, 4, 4), np.float32)).any()
    assert not part_map(np.zeros((3, 4, 4), np.float32), Placement((50, 3), (16, 1), (16, 16))).any()


SIZES = [(1, 1), (1, 300), (300, 1), (13, 17), (63, 64), (64, 64), (65, 40), (100, 201), (331, 7), (250, 600)]


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("patches", [False, True])
def test_photos_of_any_size_equal_the_two_resizes(source, fixed, patches):
    placement = place(np.zeros((*source, 3), np.uint8), Geometry(64, fixed))[1]
    logits = some_logits((6, placement.canvas[0] // 4, placement.canvas[1] // 4), patches, seed=sum(source))
    assert_most_probable(part_map(logits, placement), restore_dense(logits, placement))


@pytest.mark.parametrize("at_once", [1, 1000])
def test_cells_in_several_batches_give_the_same(monkeypatch, at_once):
    placement, logits = Placement((90, 70), (64, 50), (64, 64)), some_logits((5, 16, 16), patches=True)
    expected = part_map(logits, placement)
    monkeypatch.setattr(cells, "VALUES_AT_ONCE", at_once)
    np.testing.assert_array_equal(part_map(logits, placement), expected)


@pytest.mark.parametrize(("source", "content"), [((40, 4000), (8, 640)), ((40, 300), (8, 640)), ((8, 640), (8, 640))])
def test_a_ramp_ends_at_the_exact_pixel(source, content):
    """Part 1 leads from x = 201.3 on the canvas; away from samples, both resizes keep a ramp."""
    placement = Placement(source, content, (32, 640))
    samples = 4 * np.arange(160) + 1.5  # centres on the canvas, in pixels from the centre of its first one
    ramp = np.broadcast_to((samples - 201.3) / 10, (8, 160)).astype(np.float32)
    found = part_map(np.stack([0 * ramp, ramp]), placement)
    centres = (np.arange(source[1]) + 0.5) * content[1] / source[1] - 0.5
    np.testing.assert_array_equal(found, np.broadcast_to(centres > 201.3, source))


def test_a_third_part_may_win_inside_a_cell_of_the_canvas():
    """Where two parts cross steeply, the third leads around the border, less than a pixel of the canvas wide."""
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32) - 7.5, (4, 16))
    logits = np.stack([ramp, -ramp, np.full_like(ramp, 0.1)])
    canvas, found = upsampled_argmax(logits), part_map(logits, Placement((16, 6400), (16, 64), (16, 64)))
    assert set(np.unique(canvas)) == {0, 1}
    assert np.count_nonzero(found == 2) == 16 * 80  # 0.2 samples of 4 pixels, 100 times as large


def test_logits_that_are_not_numbers_give_some_part():
    found = part_map(np.full((3, 4, 4), np.nan, np.float32), Placement((40, 40), (16, 16), (16, 16)))
    assert found.shape == (40, 40)


def test_logits_of_another_canvas_are_refused():
    with pytest.raises(ValueError, match="canvas"):
        part_map(np.zeros((3, 4, 4), np.float32), Placement((40, 40), (32, 32), (32, 32)))


def test_log_parts_come_close_to_the_references_dense_result():
    """M2FP interpolates every query's mask, we interpolate their sums; nearest neighbour agrees on fewer pixels."""
    with np.load(GOLDEN) as golden:
        class_logits, mask_logits = golden["pred_logits"][0], golden["pred_masks"][0]
        reference = golden["sem_seg_argmax"]
    placement = Placement((180, 225), (120, 150), (128, 160))
    classes = softmax(class_logits)[:, :-1].T  # `Human` included, as in the reference's result
    logits = np.log(np.tensordot(classes, sigmoid(mask_logits), axes=1))
    agreement = (part_map(logits, placement) == reference).mean()
    nearest = restore_map(upsampled_argmax(logits), placement)
    assert agreement > 0.962 and agreement > (nearest == reference).mean() + 0.002
