"""Part sets: every label has parts, every part a label, and predictions are scored in the labels of their source."""

from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS, LabelSet, PartSets, find_part_sets
from m2fp_kd.labels.part_sets import SET_TABLES

CIHP = LABEL_SETS["cihp"]
BUILT_IN = [tuple(path.stem.split("-in-")) for path in sorted(SET_TABLES.glob("*.yaml"))]
ARMS = LabelSet("arms", ("background", "left-arm", "right-arm"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)), ((1, 2),))
SIMPLE = LabelSet("simple", ("background", "arm"), ((0, 0, 0), (9, 9, 9)))


def names(table: PartSets, label: str) -> set[str]:
    return {table.student.parts[part] for part in np.flatnonzero(table.sets[table.source.parts.index(label)])}


def test_every_label_set_has_a_table_in_the_parts_of_cihp() -> None:
    assert set(BUILT_IN) == {(name, "cihp") for name in LABEL_SETS if name != "cihp"}


@pytest.mark.parametrize(("source", "student"), BUILT_IN)
def test_the_built_in_tables(source: str, student: str) -> None:
    table = find_part_sets(LABEL_SETS[source], LABEL_SETS[student])
    assert table.sets.shape == (LABEL_SETS[source].num_parts, LABEL_SETS[student].num_parts)
    assert table.sets.any(axis=0).all() and table.sets.any(axis=1).all()
    assert "background" in names(table, "background") and table.counts_as[0] == 0 and not table.one_to_one
    for part in set(table.source.parts) & set(table.student.parts):
        assert part in names(table, part), "a label can be the part of the same name"
    assert (table.merged[table.counts_as] == table.counts_as).all()
    assert table.sets[table.counts_as, np.arange(table.student.num_parts)].all(), (
        "a part counts as a label that can be it"
    )


def test_rows_of_the_built_in_tables() -> None:
    pascal = find_part_sets(LABEL_SETS["pascal_person_part"], CIHP)
    assert names(pascal, "head") >= {"hair", "face", "hat"} and "upper-clothes" not in names(pascal, "head")
    assert "left-arm" in names(pascal, "lower-arm") & names(pascal, "upper-arm")
    ccp = find_part_sets(LABEL_SETS["ccp"], CIHP)
    assert names(ccp, "boots") == {"left-shoe", "right-shoe"} and names(ccp, "bag") == {"background"}


def test_equal_parts_need_no_table() -> None:
    table = find_part_sets(LabelSet.from_dict({"name": "mine", "parts": list(CIHP.parts)}), CIHP)
    assert table.one_to_one and np.array_equal(table.sets, np.eye(20, dtype=bool))
    rng = np.random.default_rng(0)
    part_map, truth = rng.integers(0, 20, (2, 9, 9), dtype=np.uint8)
    truth[0] = 255
    truth[:, 0] = 255
    found, labels = table.in_source(part_map, truth)
    np.testing.assert_array_equal(found, part_map)
    np.testing.assert_array_equal(labels, truth)
    assert table.scored == list(range(20))


def test_a_possible_part_is_right_and_another_counts_as_the_first_label_that_can_be_it(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text("arm: [left-arm, right-arm, background]\nbackground: background\n")
    table = find_part_sets(SIMPLE, ARMS, file)
    assert table.counts_as.tolist() == [1, 1, 1]
    part_map = np.array([[0, 1, 2, 0, 1, 2, 1]], np.uint8)
    truth = np.array([[0, 0, 0, 1, 1, 1, 255]], np.uint8)
    found, labels = table.in_source(part_map, truth)
    assert found[0, :6].tolist() == [0, 1, 1, 1, 1, 1] and labels.tolist() == truth.tolist()
    assert table.scored == [1], "no part counts as background here"


def test_labels_with_the_same_parts_are_scored_as_one() -> None:
    table = find_part_sets(LABEL_SETS["ccp"], CIHP)
    index = table.source.parts.index
    merged = {table.source.parts[old]: table.source.parts[new] for old, new in enumerate(table.merged[:59])}
    assert {merged[name] for name in ("shirt", "t-shirt", "blouse", "sweater")} == {"t-shirt"}
    assert (merged["bag"], merged["boots"], merged["jeans"]) == ("background", "shoes", "pants")
    assert merged["tie"] == "tie" and merged["skin"] == "skin" and table.merged[255] == 255
    part_map = np.array([[CIHP.parts.index("upper-clothes"), CIHP.parts.index("coat"), 0]])
    found, truth = table.in_source(part_map, np.array([[index("shirt"), index("shirt"), 255]], np.uint8))
    assert found[0, :2].tolist() == [index("t-shirt"), index("coat")]
    assert truth.tolist() == [[index("t-shirt"), index("t-shirt"), 255]]
    assert {table.source.parts[label] for label in table.scored} == {
        "background", "hair", "hat", "sunglasses", "skin", "t-shirt", "dress", "coat", "pants", "skirt", "scarf",
        "gloves", "socks", "shoes",
    }  # fmt: skip


def test_a_missing_table_lists_the_built_in_ones_and_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"labels of 'cihp' in the parts of 'atr'.*ccp in cihp.*one line.*table=FILE"):
        find_part_sets(CIHP, LABEL_SETS["atr"])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("background: background", "lacks the labels arm; add a line with the parts"),
        ("background: background\narm: [left-arm, right-arm]\nleg: left-arm", "the source has no labels leg; remove"),
        ("background: background\narm: [left-arm, left-leg]", r"arm: the student has no parts left-leg; its parts are"),
        ("background: [background, left-arm]\narm: right-arm", "left and right differ in background, arm"),
        ("background: background\narm: background", "no label can be left-arm, right-arm; add each part"),
        ("background: background\narm: {left-arm: 0.5}", "arm: must name a part or a list of parts"),
        ("background: background\narm: []", "arm: must name a part or a list of parts"),
        ("background: background\narm:", "arm: must name a part or a list of parts, not None"),
        ("background: background\narm: [1]", "arm: the student has no parts 1"),
    ],
)
def test_an_invalid_table_is_named_with_its_mistake(tmp_path: Path, lines: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(lines)
    with pytest.raises(ValueError, match=message) as caught:
        find_part_sets(SIMPLE, ARMS, file)
    assert "wrong.yaml" in str(caught.value)


def test_both_label_sets_ignore_the_same_value(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text("background: background\narm: [left-arm, right-arm]\n")
    other = LabelSet("simple", SIMPLE.parts, SIMPLE.colours, ignore_index=200)
    with pytest.raises(ValueError, match=r"'simple' ignores the value 200 and 'arms' 255; give both"):
        find_part_sets(other, ARMS, file)
