import math

import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.miou import confusion, iou, miou, miou_absent_zero, pixel_accuracy


def maps(seed: int, parts: int, present: int) -> tuple[np.ndarray, np.ndarray]:
    """A truth with ignored pixels and a prediction that is correct on about half; parts >= `present` do not occur."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, present, (3, 17, 23), np.uint8)
    prediction = np.where(random.random(truth.shape) < 0.5, truth, random.integers(0, present, truth.shape))
    return np.where(random.random(truth.shape) < 0.1, 255, truth).astype(np.uint8), prediction.astype(np.uint8)


def naive_iou(truth: np.ndarray, prediction: np.ndarray, part: int) -> float:
    both = either = 0
    for true, predicted in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if true != 255:
            both += true == part and predicted == part
            either += part in (true, predicted)
    return both / either if either else math.nan


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_naive_count(seed: int) -> None:
    truth, prediction = maps(seed, 7, 5)
    matrix = confusion(truth, prediction, 7)
    expected = [naive_iou(truth, prediction, part) for part in range(7)]
    assert matrix.dtype == np.int64
    np.testing.assert_allclose(iou(matrix), expected, rtol=1e-12)
    assert miou(matrix) == pytest.approx(np.mean(expected[:5]))
    assert miou_absent_zero(matrix) == pytest.approx(sum(expected[:5]) / 7)
    assert pixel_accuracy(matrix) == pytest.approx((truth == prediction)[truth != 255].mean())


def test_equals_torchmetrics() -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from torchmetrics.classification import MulticlassJaccardIndex

    metric = MulticlassJaccardIndex(num_classes=20, average="macro", ignore_index=255)
    total = np.zeros((20, 20), np.int64)
    for seed in range(3):
        truth, prediction = maps(seed, 20, 12)
        metric.update(torch.from_numpy(prediction).long(), torch.from_numpy(truth).long())
        total += confusion(truth, prediction, 20)
    assert miou(total) == pytest.approx(metric.compute().item(), abs=1e-6)


def test_the_matrix_is_over_the_data_set_not_a_mean_of_photos() -> None:
    large, small = np.zeros((10, 10), np.uint8), np.ones((1, 2), np.uint8)
    matrix = confusion(large, large, 2) + confusion(small, np.array([[1, 0]], np.uint8), 2)
    np.testing.assert_allclose(iou(matrix), [100 / 101, 1 / 2])


def test_a_part_only_predicted_counts_as_wrong() -> None:
    matrix = confusion(np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8), 3)
    np.testing.assert_allclose(iou(matrix), [0.75, 0, np.nan])
    assert miou(matrix) == 0.375
    assert miou_absent_zero(matrix) == pytest.approx(0.25)


def test_without_counted_pixels_scores_are_nan() -> None:
    matrix = confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert math.isnan(miou(matrix))
    assert math.isnan(pixel_accuracy(matrix))


def test_predictions_at_ignored_pixels_do_not_matter() -> None:
    truth = np.array([[0, 255]], np.uint8)
    assert confusion(truth, np.array([[0, 99]], np.uint8), 2).sum() == 1


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([[0, 9]], [[0, 0]], r"truth holds \[9\], but parts are 0..2"),
        ([[0, 0]], [[0, 3]], r"prediction holds \[3\]"),
        ([[0, -1]], [[0, 0]], r"truth holds \[-1\]"),
        ([[0, 0]], [[0], [0]], "restore the prediction to the label's own size"),
    ],
)
def test_wrong_maps_are_errors(truth: list, prediction: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion(np.array(truth), np.array(prediction), 3)
