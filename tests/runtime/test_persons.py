"""The NumPy post-processing against what M2FP's own made of the same logits."""

from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.runtime import persons
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.persons import Person, person_ids

PARTS, HUMAN = range(20), 20
GOLDEN = Path(__file__).parents[1] / "golden" / "m2fp_postprocess.npz"
PLACEMENT = Placement(source=(180, 225), content=(120, 150), canvas=(128, 160))


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def logits(golden) -> tuple[np.ndarray, np.ndarray]:
    return golden["pred_logits"][0], golden["pred_masks"][0]


@pytest.mark.parametrize(("kind", "categories"), [("part", range(1, 20)), ("human", {HUMAN})])
def test_instances_equal_the_reference(golden, logits, kind, categories):
    expected = sorted(
        zip(
            golden[f"{kind}_outputs_score"],
            golden[f"{kind}_outputs_category"],
            np.unpackbits(golden[f"{kind}_outputs_mask"], axis=-1)[..., : PLACEMENT.source[1]],
            strict=True,
        ),
        key=lambda row: row[0],
    )
    threshold = float(golden["parsing_ins_score_thr"])
    found = sorted(persons.instances(*logits, PLACEMENT, categories, threshold), key=lambda instance: instance.score)
    assert len(found) == len(expected)
    for instance, (score, category, mask) in zip(found, expected, strict=True):
        assert instance.category == category
        assert instance.score == pytest.approx(float(score), rel=1e-5)
        np.testing.assert_array_equal(instance.mask(PLACEMENT.source), mask.astype(bool))


def test_people_are_the_human_instances_with_their_boxes(golden, logits):
    found = persons.find_persons(*logits, PLACEMENT, num_parts=20)
    scores = np.sort(golden["human_outputs_score"])[::-1]
    np.testing.assert_allclose([person.score for person in found], scores, rtol=1e-5)
    for person in found:
        left, top, right, bottom = person.box
        assert person.mask[top:bottom, left:right].sum() == person.mask.sum()
        assert person.mask[top].any() and person.mask[:, right - 1].any()


def test_pasted_map_equals_the_reference(golden, logits):
    part_map, score = persons.paste(persons.instances(*logits, PLACEMENT, PARTS), PLACEMENT.source)
    np.testing.assert_array_equal(part_map, golden["semantic_argmax"])
    np.testing.assert_allclose(score, golden["semantic_max"].astype(np.float32), atol=5e-4)


def test_an_empty_photo_has_no_instances(logits):
    class_logits = np.zeros_like(logits[0])
    class_logits[:, -1] = 20
    assert list(persons.instances(class_logits, logits[1], PLACEMENT, range(21))) == []
    part_map, score = persons.paste([], (4, 5))
    assert not part_map.any() and not score.any()


def test_one_query_may_give_two_instances():
    class_logits = np.log(np.array([[0.45, 0.45, 0.1]]))
    masks = np.full((1, 8, 8), 10.0)
    placement = Placement((32, 32), (32, 32), (32, 32))
    found = list(persons.instances(class_logits, masks, placement, range(2)))
    assert sorted(instance.category for instance in found) == [0, 1]
    assert all(instance.score == pytest.approx(0.45, rel=1e-3) for instance in found)


def test_the_better_of_two_persons_keeps_the_pixel():
    first, second = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 1]], bool)
    found = [Person.of(mask, score) for mask, score in ((first, 0.9), (second, 0.5))]
    assert person_ids(found, np.array([[5, 5, 5, 0]], np.uint8)).tolist() == [[1, 1, 2, 0]]
    assert person_ids([], np.ones((1, 4), np.uint8)).tolist() == [[0, 0, 0, 0]]
