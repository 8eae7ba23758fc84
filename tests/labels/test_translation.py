"""Translations: built-in ones, those of files, and what is wrong with others."""

import pytest

from m2fp_kd.labels import LABEL_SETS, LabelSet, distinct_colours, find_translation, targets

CIHP = LABEL_SETS["cihp"]


def write(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return str(file)


def test_targets_are_the_own_set_and_those_that_bridges_lead_to():
    assert targets(CIHP) == ["cihp", "atr", "lip", "pascal_person_part"]
    assert targets(LABEL_SETS["pascal_person_part"]) == ["pascal_person_part"]
    stranger = LabelSet("cihp", ("background", "cat"), distinct_colours(2))
    assert targets(stranger) == ["cihp"], "a set of the same name has other parts"


@pytest.mark.parametrize("source", LABEL_SETS)
def test_every_target_can_be_found(source):
    labels = LABEL_SETS[source]
    assert find_translation(labels, source) is None
    for name in targets(labels)[1:]:
        found = find_translation(labels, name)
        assert (found.source, found.target) == (labels, LABEL_SETS[name])
        assert found.shares.shape == (labels.num_parts, LABEL_SETS[name].num_parts)


def test_parts_that_are_divided_are_known_as_guesses():
    assert find_translation(CIHP, "lip").guesses == {"torso-skin": "background"}, "the first of equal shares"
    assert find_translation(CIHP, "pascal_person_part").guesses["upper-clothes"] == "torso"


@pytest.mark.parametrize("wanted", ["mhp_v2", "", "LIP", "no such"])
def test_an_impossible_target_is_refused_with_the_possible_ones(wanted):
    with pytest.raises(ValueError, match=r"'cihp' cannot be given in '.*'; choose from cihp, atr, lip, pascal_person"):
        find_translation(CIHP, wanted)


def test_a_file_without_a_bridge_keeps_names(tmp_path):
    own = LabelSet("own", ("background", "a", "b"), distinct_colours(3))
    found = find_translation(own, write(tmp_path, "name: mine\nparts: [background, b, c, a]\n"))
    assert found.target.name == "mine" and found.shares.argmax(axis=1).tolist() == [0, 3, 1] and not found.guesses


def test_a_file_with_a_bridge_may_join_divide_and_forget_sides(tmp_path):
    own = LabelSet("own", ("background", "left-hand", "right-hand"), distinct_colours(3), ((1, 2),))
    text = "name: mine\nparts: [none, main, rest]\nbridge:\n  background: none\n  left-hand: rest\n"
    found = find_translation(own, write(tmp_path, text + "  right-hand: {main: 0.75, rest: 0.25}\n"))
    assert found.shares.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0.75, 0.25]] and found.guesses == {"right-hand": "main"}
    other = find_translation(own, write(tmp_path, text + "  right-hand: {main: 0.7, rest: 0.3}\n"))
    assert found.sha256 != other.sha256


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: mine\nparts: [background, a]\n", "lacks the artefact's parts b; add a table `bridge`"),
        (
            "name: mine\nparts: [background, a]\nbridge: {background: background, a: a}\n",
            "lacks the artefact's parts b",
        ),
        ("name: mine\nparts: [background, a]\nbridge: {background: background, a: a, b: c}\n", "has no part c"),
        ("name: mine\nparts: [background, a]\nbridge: [1]\n", "bridge: must hold a line"),
        ("parts: [background, a]\n", "lacks"),
        ("name: mine\nparts: [background, a]\nbridges: {}\n", "unknown fields"),
        ("- 1\n", "must hold names"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, text, words):
    own = LabelSet("own", ("background", "a", "b"), distinct_colours(3))
    with pytest.raises(ValueError, match=f"mine.yaml: .*{words}"):
        find_translation(own, write(tmp_path, text))


def test_a_missing_file_is_an_error():
    with pytest.raises(FileNotFoundError):
        find_translation(CIHP, "gone.yaml")
