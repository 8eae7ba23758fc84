from dataclasses import dataclass, replace

import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.evaluate import evaluate, evaluate_in_source, evaluate_parsings
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.runtime.parsing import Parsing
from tests.evaluation.metrics.instances.logits import HUMAN, parsing_of
from tests.evaluation.metrics.instances.logits import LABELS as PERSON_LABELS

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


def red(image: np.ndarray) -> np.ndarray:
    return image[..., 0]


def test_a_perfect_model_scores_one_and_absent_parts_do_not_count() -> None:
    scores = evaluate(red, [photo("a", [[0, 1]]), photo("b", [[0], [1]])], LABELS)
    assert scores.miou == scores.pixel_accuracy == 1
    assert scores.iou == {"background": 1, "head": 1, "hat": None}
    assert scores.miou_absent_zero == pytest.approx(2 / 3)
    assert scores.confusion.sum() == 4


def test_a_part_that_the_label_can_be_is_right_and_another_counts_as_its_first_label() -> None:
    """The source has the label "top" for head and hat."""
    source = LabelSet("two", ("background", "top"), ((0, 0, 0), (1, 1, 1)))
    table = PartSets(source, LABELS, np.array([[1, 0, 0], [0, 1, 1]], bool), np.array([0, 1, 1], np.uint8))
    predicted = photo("a", [[0, 1, 2, 2, 0]])
    truth = replace(predicted, parts=np.array([[0, 1, 1, 0, 255]], np.uint8))
    scores = evaluate_in_source(lambda shown: red(shown.image), [truth], table)
    assert scores.iou == {"background": 1 / 2, "top": pytest.approx(2 / 3)} and scores.confusion.sum() == 4
    assert scores.miou == pytest.approx((1 / 2 + 2 / 3) / 2)
    only_top = replace(table, counts_as=np.array([1, 1, 1], np.uint8))
    scores = evaluate_in_source(lambda shown: red(shown.image), [truth], only_top)
    assert scores.iou == {"top": pytest.approx(2 / 3)} and scores.miou == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="differ in size; restore the part map"):
        evaluate_in_source(lambda shown: red(shown.image)[:, :2], [truth], table)
    with pytest.raises(ValueError, match="has no label"):
        evaluate_in_source(lambda shown: red(shown.image), [photo("b", None)], table)


def test_predicting_only_background_in_closed_form() -> None:
    scores = evaluate(lambda image: np.zeros(image.shape[:2], np.uint8), [photo("a", [[0, 0, 1, 2]])], LABELS)
    assert scores.iou == {"background": 0.5, "head": 0, "hat": 0}
    assert scores.miou == pytest.approx(1 / 6)


def test_errors_name_the_photo() -> None:
    with pytest.raises(ValueError, match=r"b\.jpg: has no label"):
        evaluate(red, [photo("a.jpg", [[0]]), photo("b.jpg", None)], LABELS)
    with pytest.raises(ValueError, match=r"a\.jpg: truth \(1, 2\) and prediction \(2, 2\)"):
        evaluate(lambda image: np.zeros((2, 2), np.uint8), [photo("a.jpg", [[0, 1]])], LABELS)
    with pytest.raises(ValueError, match="no photos to evaluate on"):
        evaluate(red, [], LABELS)


@dataclass(frozen=True)
class Peopled(Labelled):
    persons: np.ndarray | None = None


def peopled(name: str, parts: list[list[int]], persons: list[list[int]] | None) -> Peopled:
    shown = photo(name, parts)
    return Peopled(shown.name, shown.image, shown.parts, None if persons is None else np.array(persons, np.int32))


def ideal(photo: Peopled) -> Parsing:
    """A perfect parsing in which each person and part is a query of its own."""
    assert photo.parts is not None
    persons = np.zeros_like(photo.parts) if photo.persons is None else photo.persons
    found = []
    for human in set(persons.ravel().tolist()) - {0}:
        found.append((HUMAN, 0.9, persons == human))
        found += [(part, 0.8, (persons == human) & (photo.parts == part)) for part in (1, 2)]
    return parsing_of([one for one in found if one[2].any()], photo.parts)


def test_persons_are_scored_if_all_photos_have_ids() -> None:
    photos = [peopled("a", [[1, 2, 0, 1]], [[1, 1, 0, 2]]), peopled("b", [[2, 2, 0]], [[5, 5, 0]])]
    scores = evaluate_parsings(ideal, photos, PERSON_LABELS)
    assert set(scores.instances) == {"APp50", "APvol", "PCP50", "APr50", "APr60", "APr70", "APr"}
    assert set(scores.instances.values()) == {1.0}
    assert (scores.miou, scores.unscored) == (1, None)
    missed = evaluate_parsings(lambda photo: parsing_of([], photo.parts), photos, PERSON_LABELS)
    assert (missed.miou, set(missed.instances.values())) == (1, {0.0})


def test_unscored_persons_have_a_reason() -> None:
    known, unknown = peopled("a", [[1, 2]], [[1, 1]]), peopled("b", [[1, 2]], None)
    without_ids = evaluate_parsings(ideal, [known, unknown], PERSON_LABELS)
    assert (without_ids.instances, without_ids.unscored) == ({}, "the photos have no person ids")
    nobody = evaluate_parsings(ideal, [peopled("a", [[0, 0]], [[0, 0]])], PERSON_LABELS)
    assert (nobody.instances, nobody.unscored) == ({}, "the photos show nobody")
    regions = evaluate_parsings(lambda photo: replace(ideal(photo), people_kind="regions"), [known], PERSON_LABELS)
    assert (regions.instances, regions.unscored) == ({}, None)
