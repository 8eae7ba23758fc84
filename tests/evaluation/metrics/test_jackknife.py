import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.jackknife import GROUPS, score_change
from m2fp_kd.evaluation.metrics.miou import miou


def _confusion(correct: np.ndarray, pixels: int = 100) -> np.ndarray:
    """(G, 2, 2): each part has `pixels` pixels, `correct` of them correct."""
    matrix = np.empty((len(correct), 2, 2), np.int64)
    matrix[:, 0, 0] = matrix[:, 1, 1] = correct
    matrix[:, 0, 1] = matrix[:, 1, 0] = pixels - correct
    return matrix


def test_an_equal_loss_on_every_photo_has_no_error() -> None:
    change = score_change(_confusion(np.full(10, 90)), _confusion(np.full(10, 80)))
    assert change.value == pytest.approx(80 / 120 - 90 / 110)
    assert change.error == pytest.approx(0, abs=1e-12)
    assert change.most_lost == pytest.approx(-change.value)


def test_two_groups_in_closed_form() -> None:
    before, after = _confusion(np.array([90, 90])), _confusion(np.array([90, 70]))
    first, second = 0.0, 70 / 130 - 90 / 110
    change = score_change(before, after)
    assert change.value == pytest.approx(80 / 120 - 90 / 110)
    assert change.error == pytest.approx(abs(second - first) / 2)
    assert change.most_lost == pytest.approx(-change.value + 6.3137515 * change.error)  # Student's t, 1 degree, 95 %


def test_groups_without_labels_do_not_count() -> None:
    before, after = _confusion(np.array([90, 80, 85])), _confusion(np.array([80, 80, 84]))
    empty = np.zeros((GROUPS - 3, 2, 2), np.int64)
    padded = score_change(np.concatenate([before, empty]), np.concatenate([after, empty]))
    assert padded == score_change(before, after)


def test_the_score_of_other_counts_changes_likewise() -> None:
    """The share of the first row in the second, summed over groups."""
    before, after = np.array([[[5], [10]], [[8], [10]]]), np.array([[[5], [10]], [[2], [10]]])
    change = score_change(before, after, lambda counts: float(counts[0, 0] / counts[1, 0]))
    assert change.value == pytest.approx((7 - 13) / 20)
    assert change.error == pytest.approx(abs(0 - -0.6) / 2)


def test_one_group_has_no_error() -> None:
    change = score_change(_confusion(np.array([90])), _confusion(np.array([80])))
    assert change.error is None
    assert change.most_lost == -change.value


def test_the_bound_holds_with_95_percent_confidence() -> None:
    rng = np.random.default_rng(0)

    def draw(photos: int) -> tuple[np.ndarray, np.ndarray]:
        """Photos of very different difficulty, some of which lose by INT8."""
        share = rng.beta(4, 2, photos)
        before = rng.binomial(400, share)
        return _confusion(before, 400), _confusion(before - rng.binomial(before, 0.05 * rng.random(photos) ** 3), 400)

    before, after = (matrix.sum(axis=0) for matrix in draw(200_000))
    truth = miou(after) - miou(before)
    held = np.mean([-truth <= score_change(*draw(160)).most_lost for _ in range(500)])
    assert 0.92 < held < 0.98
