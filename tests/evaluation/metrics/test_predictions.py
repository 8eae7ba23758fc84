import numpy as np
import pytest

from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.metrics.boundary import boundary_counts
from m2fp_kd.evaluation.metrics.predictions import predictions, total_confusion, total_counts
from m2fp_kd.labels import LabelSet

LABELS = LabelSet("two", ("background", "head"), ((0, 0, 0), (1, 1, 1)))


def photo(name: str, shown: list[int], truth: list[int] | None) -> Photo:
    """A photo whose red channel is what `red` predicts."""
    image = np.repeat(np.array([shown], np.uint8)[..., None], 3, axis=2)
    return Photo(name, image, None if truth is None else np.array([truth], np.uint8))


def red(image: np.ndarray) -> np.ndarray:
    return image[..., 0]


def background(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape[:2], np.uint8)


def test_each_model_runs_once_a_photo_and_is_counted_against_label_and_model() -> None:
    calls = []

    def counted(image: np.ndarray) -> np.ndarray:
        calls.append(image)
        return red(image)

    (found,) = predictions([photo("a", [0, 1, 1, 0], [0, 1, 255, 1])], (counted, background), LABELS)
    np.testing.assert_array_equal(found.confusion(0), [[1, 0], [1, 1]])
    np.testing.assert_array_equal(found.confusion(1), [[1, 0], [2, 0]])
    np.testing.assert_array_equal(found.between(0, 1), [[2, 0], [2, 0]])
    assert len(calls) == 1


def test_the_total_is_the_sum_over_photos_of_the_first_model() -> None:
    photos = [photo("a", [0, 1], [0, 1]), photo("b", [1], [0])]
    total = total_confusion(predictions(photos, (red, background), LABELS))
    np.testing.assert_array_equal(total, [[1, 1], [0, 1]])


def test_borders_are_counted_with_the_confusion_matrix() -> None:
    photos = [photo("a", [0, 1], [0, 1]), photo("b", [1], [0])]
    matrix, borders = total_counts(predictions(photos, (red, background), LABELS))
    np.testing.assert_array_equal(matrix, [[1, 1], [0, 1]])
    expected = sum(boundary_counts(one.parts, red(one.image), 2) for one in photos)
    np.testing.assert_array_equal(borders, expected)


def test_errors_name_the_photo() -> None:
    (unlabelled,) = predictions([photo("b.jpg", [0], None)], [red], LABELS)
    with pytest.raises(ValueError, match=r"b\.jpg: has no label"):
        unlabelled.confusion()
    (wrong,) = predictions([photo("a.jpg", [0], [0])], (red, lambda image: np.zeros((2, 2), np.uint8)), LABELS)
    with pytest.raises(ValueError, match=r"a\.jpg: truth \(1, 1\) and prediction \(2, 2\)"):
        wrong.between(0, 1)


def test_a_total_needs_photos() -> None:
    with pytest.raises(ValueError, match="no photos to evaluate on"):
        total_confusion(predictions([], [red], LABELS))
