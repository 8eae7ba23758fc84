"""Results in another label set: the translated probabilities decide, at the photo's own size."""

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS, LabelSet, Translation, distinct_colours, find_translation
from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.geometry import Placement, restore_dense
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import part_map, upsampled_argmax
from m2fp_kd.runtime.relabel import NEVER, relabelled, translated_logits
from tests.runtime.conftest import COLOURS

PLACEMENT = Placement((70, 90), (50, 64), (64, 64))


def result(logits, labels, placement=PLACEMENT):
    outputs = {"part_logits": logits, "part_map": upsampled_argmax(logits)}
    photo = np.zeros((*placement.source, 3), np.uint8)
    return Parsing(photo, part_map(logits, placement), labels, "regions", {"network": 1.0}, placement, outputs)


def logits_of(labels, seed=0):
    return 4 * np.random.default_rng(seed).normal(size=(labels.num_parts, 16, 16)).astype(np.float32)


def test_new_names_and_indices_change_no_border():
    order = [0, 3, 1, 2, *range(4, 20)]
    own = LABEL_SETS["cihp"]
    other = LabelSet("other", tuple(own.parts[index] for index in order), distinct_colours(20))
    parsing = result(logits_of(own), own)
    found = relabelled(parsing, Translation(own, other, np.eye(20, dtype=np.float32)[:, order]))
    np.testing.assert_array_equal(np.array(order)[found.part_map], parsing.part_map)
    assert found.labels is other and found.timings.keys() == {"network", "labels"}
    assert {part.name: part.area for part in found.parts} == {part.name: part.area for part in parsing.parts}
    own_scores = {part.name: part.score for part in parsing.parts}
    assert {part.name: part.score for part in found.parts} == pytest.approx(own_scores)


def test_probabilities_are_translated_and_then_the_largest_is_taken():
    own, translation = LABEL_SETS["cihp"], find_translation(LABEL_SETS["cihp"], "pascal_person_part")
    logits = logits_of(own)
    expected = np.einsum("phw,pq->qhw", softmax(logits, axis=0), translation.shares)
    np.testing.assert_allclose(softmax(translated_logits(logits, translation.shares), axis=0), expected, atol=1e-6)
    found = relabelled(result(logits, own), translation)
    dense = restore_dense(np.log(expected), PLACEMENT)
    clear = np.diff(np.sort(dense, axis=0)[-2:], axis=0)[0] > 1e-4
    np.testing.assert_array_equal(found.part_map[clear], dense.argmax(axis=0)[clear])
    assert found.labels.name == "pascal_person_part" and found.to_modelscope()["labels"][0] == "background"


def test_parts_add_up_before_one_is_chosen():
    """The arm wins as the sum of skin and glove, though background is more probable than each."""
    own = LabelSet("own", ("background", "skin", "glove"), distinct_colours(3))
    arms = LabelSet("arms", ("background", "arm", "never"), distinct_colours(3))
    shares = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    logits = np.log(np.array([0.4, 0.3, 0.3], np.float32))[:, None, None] * np.ones((3, 16, 16), np.float32)
    parsing = result(logits, own)
    found = relabelled(parsing, Translation(own, arms, shares))
    assert (parsing.part_map == 0).all() and (found.part_map == 1).all()
    assert (found.outputs["part_logits"][2] == NEVER).all() and found.parts[0].score == pytest.approx(0.6)


def test_without_probabilities_a_part_becomes_its_likeliest():
    own, translation = LABEL_SETS["cihp"], find_translation(LABEL_SETS["cihp"], "pascal_person_part")
    parts = np.arange(20, dtype=np.uint8).reshape(4, 5)
    placement = Placement((4, 5), (4, 5), (4, 5))
    parsing = Parsing(np.zeros((4, 5, 3), np.uint8), parts, own, "regions", {}, placement, {"part_map": parts})
    found = relabelled(parsing, translation)
    names = [found.labels.parts[index] for index in found.part_map.ravel()]
    assert names[:6] == ["background", "head", "head", "lower-arm", "head", "torso"]
    assert found.part_map.dtype == np.uint8 and found.parts[0].score is None


def test_a_parser_translates_all_that_it_parses(artefact, stripes):
    swapped = LabelSet("swapped", ("background", "blue", "green"), distinct_colours(3))
    translation = Translation(COLOURS, swapped, np.eye(3, dtype=np.float32)[:, [0, 2, 1]])
    own, other = Parser.load(artefact()), Parser.load(artefact(), translation=translation)
    assert other.labels is swapped and own.labels == COLOURS
    assert other(stripes).shares == own(stripes).shares
    np.testing.assert_array_equal(other.part_map(stripes), np.array([0, 2, 1])[own.part_map(stripes)])


def test_persons_stay_and_keep_their_own_class(people_artefact):
    photo = np.zeros((180, 225, 3), np.uint8)
    own = Parser.load(people_artefact)(photo)
    translation = find_translation(LABEL_SETS["cihp"], "lip")
    found = Parser.load(people_artefact, translation=translation)(photo)
    assert [person.score for person in found.people] == [person.score for person in own.people] and len(own.people) == 3
    assert "Human" in own.to_modelscope()["labels"] and "Human" not in found.to_modelscope()["labels"]
