"""Label sets agree with the data sets' papers, and errors in a user's file are named."""

import os
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS, LabelSet, distinct_colours, load_label_set

SIZES = {
    "cihp": (20, 21),
    "lip": (20, 20),
    "atr": (18, 18),
    "pascal_person_part": (7, 8),
    "mhp_v2": (59, 60),
    "ccp": (59, 59),
    "sapiens2": (29, 29),
}
DATA = Path(os.environ.get("M2FP_KD_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize("name", SIZES)
def test_numbers_of_parts_and_classes(name):
    labels = LABEL_SETS[name]
    assert labels.name == name
    assert (labels.num_parts, labels.num_classes) == SIZES[name]
    assert labels.parts[0] == "background" and labels.colours[0] == (0, 0, 0)


def test_all_built_in_sets_are_tested():
    assert set(LABEL_SETS) == set(SIZES)


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=lambda labels: labels.name)
def test_every_left_part_swaps_with_its_right_part(labels):
    by_name = {part: index for index, part in enumerate(labels.parts)}
    expected = {
        (index, by_name["right-" + part.removeprefix("left-")])
        for part, index in by_name.items()
        if part.startswith("left-")
    }
    assert {tuple(sorted(pair)) for pair in labels.flip_pairs} == {tuple(sorted(pair)) for pair in expected}
    permutation = np.array(labels.flip_permutation)
    np.testing.assert_array_equal(permutation[permutation], np.arange(labels.num_parts))


def test_lip_and_cihp_differ_only_at_index_ten():
    lip, cihp = LABEL_SETS["lip"].parts, LABEL_SETS["cihp"].parts
    assert [index for index in range(20) if lip[index] != cihp[index]] == [10]
    assert (lip[10], cihp[10]) == ("jumpsuits", "torso-skin")


def test_indices_agree_with_the_data_sets():
    assert LABEL_SETS["cihp"].parts.index("face") == 13
    assert LABEL_SETS["cihp"].flip_pairs == ((14, 15), (16, 17), (18, 19))
    assert LABEL_SETS["atr"].parts.index("scarf") == 17
    assert LABEL_SETS["pascal_person_part"].parts[3:5] == ("upper-leg", "torso")
    assert LABEL_SETS["mhp_v2"].parts.index("sunglasses") == 47
    assert LABEL_SETS["sapiens2"].parts[13] == "lower-clothing" and LABEL_SETS["sapiens2"].parts[28] == "tongue"


def test_ccp_has_the_names_of_its_label_list():
    file = DATA / "clothing-co-parsing" / "label_list.mat"
    if not file.is_file():
        pytest.skip(f"needs {file}; set M2FP_KD_DATA to the folder of real photos")
    rows = pytest.importorskip("scipy.io").loadmat(file)["label_list"].ravel()
    assert tuple(str(row[0]) for row in rows)[1:] == LABEL_SETS["ccp"].parts[1:]


def test_colours_are_distinct_and_stable():
    colours = distinct_colours(255)
    assert len(set(colours)) == 255
    assert distinct_colours(20) == colours[:20], "a longer list starts with the colours of a shorter one"


def test_check_accepts_parts_and_the_ignored_label():
    LABEL_SETS["atr"].check(np.array([[0, 17, 255]], np.uint8), "a.png")


@pytest.mark.parametrize("values", [[0, 18], [254], [-1, 3]])
def test_check_names_file_and_value(values):
    wrong = next(value for value in values if value not in (0, 3))
    with pytest.raises(ValueError, match=rf"a\.png: label {wrong} outside 'atr'"):
        LABEL_SETS["atr"].check(np.array([values], np.int32), "a.png")


def test_check_rejects_floats():
    with pytest.raises(ValueError, match=r"a\.png.*float"):
        LABEL_SETS["atr"].check(np.zeros((2, 2)), "a.png")


def test_palette_holds_the_colours_and_shows_the_ignored_label():
    labels = LABEL_SETS["lip"]
    palette = np.array(labels.palette()).reshape(256, 3)
    np.testing.assert_array_equal(palette[:20], labels.colours)
    assert palette[255].any()


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=lambda labels: labels.name)
def test_dictionary_round_trip(labels):
    assert LabelSet.from_dict(labels.to_dict()) == labels


def test_a_custom_set_is_loaded_from_a_file(tmp_path):
    file = tmp_path / "cats.yaml"
    file.write_text("name: cats\nparts: [background, tail, left-ear, right-ear]\nflip_pairs: [[2, 3]]\n")
    labels = load_label_set(str(file))
    assert labels.flip_permutation == (0, 1, 3, 2)
    assert labels.colours == distinct_colours(4)
    assert not labels.has_human and labels.ignore_index == 255


def test_a_name_loads_the_built_in_set():
    assert load_label_set("cihp") is LABEL_SETS["cihp"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: [background, tail]", "lacks.*name"),
        ("name: x\nparts: [background, tail]\ncolors: []", "unknown fields.*colors"),
        ("name: x\nparts: [background, tail]\ncolors: []\n1: 2", r"unknown fields \['1', 'colors'\]"),
        ("name: x\nparts: [background, tail]\ncolours: [[0, 0, 0]]", "2 parts but 1 colours"),
        ("name: x\nparts: [background, tail]\ncolours: [[0, 0, 0], [300, 0, 0]]", "0 to 255"),
        ("name: x\nparts: [background, tail, tail]", "repeat: tail"),
        ("name: x\nparts: [background, tail, ear]\nflip_pairs: [[1, 3]]", "outside 1..2"),
        ("name: x\nparts: [background, tail, ear]\nflip_pairs: [[1, 1]]", "different parts"),
        ("name: x\nparts: [background, tail]\nignore_index: 1", "ignore_index 1"),
        ("name: x\nparts: [background]", "2 to 255"),
        ("name: x\nparts: head", "parts must be a list of names, background first, not head"),
        ("name: x\nparts: {background: 0, head: 1}", "parts must be a list of names"),
        ("name: x\nparts:", "parts must be a list of names.*not None"),
        ("name: x\nparts: [background, no]", "parts must be names, not False; quote what YAML reads as another kind"),
        ("name: x\nparts: [background, tail]\nhas_human: 'no'", "has_human must be true or false, not 'no'"),
        ("name: x\nparts: [background, tail]\nhas_human: 2", "has_human must be true or false, not 2"),
        ("name: x\nparts: [background, tail]\nignore_index: '255'", "ignore_index must be a whole number, not '255'"),
        ("name: x\nparts: [background, tail]\nignore_index: 200.5", "ignore_index must be a whole number, not 200.5"),
        ("name: x\nparts: [background, tail]\ncolours: [1, 2]", "colours must be a list of lists of numbers"),
        ("name: x\nparts: [background, tail]\nflip_pairs: 5", "flip_pairs must be a list of lists of numbers"),
        ("name: [", "not valid YAML"),
        ("just words", "must hold names and values"),
    ],
)
def test_an_invalid_file_is_named_with_its_mistake(tmp_path, text, message):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_label_set(str(file))
    assert "wrong.yaml" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown label set 'chip'.*cihp.*\.yaml"):
        load_label_set("chip")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.yaml"):
        load_label_set(str(tmp_path / "gone.yaml"))
