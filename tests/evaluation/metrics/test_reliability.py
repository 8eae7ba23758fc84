import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.reliability import BINS, label_at_cells, reliability, tally
from m2fp_kd.runtime.geometry import Geometry, Placement, place, restore_map


def logits_of(confidence: np.ndarray, part: int = 0, parts: int = 3) -> np.ndarray:
    """Log-probabilities (P, 1, n) that give one part the confidence and share the rest among the others evenly."""
    probabilities = np.repeat((1 - confidence)[None] / (parts - 1), parts, axis=0)
    probabilities[part] = confidence
    return np.log(probabilities)[:, None].astype(np.float32)


def test_two_bins_in_closed_form() -> None:
    """Nine cells at 0.9, six of them correct, and one correct at 0.5: ECE is (9 * |6/9 - 0.9| + |1 - 0.5|) / 10."""
    confidence = np.array([0.9] * 9 + [0.5])
    found = reliability(tally(logits_of(confidence), np.array([[0] * 6 + [1] * 3 + [0]], np.uint8)))
    assert found is not None
    assert found.ece == pytest.approx((9 * (0.9 - 6 / 9) + 0.5) / 10)
    filled = {index: count for index, count in enumerate(found.counts) if count}
    assert filled == {7: 1, 13: 9}  # 0.5 lies in (7/15, 8/15], 0.9 in (13/15, 14/15]
    assert found.accuracy[13] == pytest.approx(6 / 9) and found.confidence[13] == pytest.approx(0.9)
    assert found.accuracy[0] is None and found.confidence[0] is None


def test_calibrated_confidence_has_no_error_and_full_confidence_the_error_rate() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.4, 1, 200_000)
    label = np.where(random.random(confidence.size) < confidence, 0, 1)[None].astype(np.uint8)
    calibrated = reliability(tally(logits_of(confidence), label))
    sure = reliability(tally(logits_of(np.full(confidence.size, 1 - 1e-6)), label))
    assert calibrated is not None and calibrated.ece < 0.005
    assert sure is not None and sure.ece == pytest.approx(label.mean(), abs=1e-4)
    assert sure.counts[-1] == confidence.size == sum(calibrated.counts)


def test_tallies_add_up_and_do_not_depend_on_a_shift_of_the_logits() -> None:
    random = np.random.default_rng(1)
    logits, label = random.normal(size=(3, 4, 6)).astype(np.float32), random.integers(0, 3, (4, 6), np.uint8)
    whole = tally(logits, label)
    assert whole == pytest.approx(tally(logits[:, :1], label[:1]) + tally(logits[:, 1:], label[1:]))
    assert whole == pytest.approx(tally(logits + 5, label))


def test_ignored_and_padded_cells_do_not_count() -> None:
    logits = logits_of(np.full(6, 0.9))
    found = reliability(tally(logits, np.array([[0, 255, 1]], np.uint8)))
    assert found is not None and sum(found.counts) == 2
    assert reliability(tally(logits, np.array([[255]], np.uint8))) is None
    assert reliability(np.zeros((3, BINS))) is None


def test_a_cells_label_is_read_at_its_centre() -> None:
    placement = Placement(source=(8, 20), content=(8, 20), canvas=(32, 32))
    truth = np.arange(160, dtype=np.uint8).reshape(8, 20)
    assert np.array_equal(label_at_cells(truth, (8, 8), placement), truth[2::4, 2::4])


@pytest.mark.parametrize("size", [(40, 64), (33, 47), (128, 100), (7, 90)])
def test_cells_keep_their_part_through_the_photos_size(size: tuple[int, int]) -> None:
    """One random part per cell, restored to the photo's size like a part map, is read back at the same cell."""
    placement = place(np.zeros((*size, 3), np.uint8), Geometry(64))[1]
    cells = np.random.default_rng(2).integers(0, 5, (16, 16), np.uint8)
    truth = restore_map(cells.repeat(4, 0).repeat(4, 1), placement)
    label = label_at_cells(truth, cells.shape, placement)
    rows, columns = label.shape
    assert (rows, columns) == tuple(sum(2 + 4 * cell < side for cell in range(16)) for side in placement.content)
    assert np.array_equal(label, cells[:rows, :columns])
