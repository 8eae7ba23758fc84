from dataclasses import dataclass

import numpy as np
import pytest

from m2fp_kd.evaluation.evaluate import evaluate
from m2fp_kd.labels import LabelSet

LABELS = LabelSet("three", ("background", "head", "hat"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


@dataclass(frozen=True)
class Labelled:
    name: str
    image: np.ndarray
    parts: np.ndarray | None


def photo(name: str, parts: list[list[int]] | None) -> Labelled:
    """A photo whose red channel is its part map."""
    shown = np.array(parts or [[0]], np.uint8)
    return Labelled(name, np.stack([shown] * 3, axis=-1), None if parts is None else shown)


def red(photo: Labelled) -> np.ndarray:
    return photo.image[..., 0]


def test_a_perfect_parser_scores_one_and_absent_parts_score_nothing() -> None:
    scores = evaluate(red, [photo("a", [[0, 1]]), photo("b", [[0], [1]])], LABELS)
    assert scores.miou == scores.pixel_accuracy == 1
    assert scores.iou == {"background": 1, "head": 1, "hat": None}
    assert scores.miou_absent_zero == pytest.approx(2 / 3)
    assert scores.confusion.sum() == 4


def test_background_everywhere() -> None:
    scores = evaluate(lambda photo: np.zeros(photo.image.shape[:2], np.uint8), [photo("a", [[0, 0, 1, 2]])], LABELS)
    assert scores.iou == {"background": 0.5, "head": 0, "hat": 0}
    assert scores.miou == pytest.approx(1 / 6)


def test_errors_name_the_photo() -> None:
    with pytest.raises(ValueError, match=r"b\.jpg: has no label"):
        evaluate(red, [photo("a.jpg", [[0]]), photo("b.jpg", None)], LABELS)
    with pytest.raises(ValueError, match=r"a\.jpg: truth \(1, 2\) and prediction \(2, 2\)"):
        evaluate(lambda photo: np.zeros((2, 2), np.uint8), [photo("a.jpg", [[0, 1]])], LABELS)
    with pytest.raises(ValueError, match="no photos to evaluate on"):
        evaluate(red, [], LABELS)
