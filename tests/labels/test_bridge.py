"""Bridges: shares belong to existing parts, sum to one and respect left and right."""

from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS, Bridge, LabelSet, find_bridge
from m2fp_kd.labels.bridge import TABLES

CIHP, PASCAL, LIP = LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"], LABEL_SETS["lip"]
BUILT_IN = [tuple(path.stem.split("-to-")) for path in sorted(TABLES.glob("*.yaml"))]
SIDES = LabelSet("sides", ("background", "left-hand", "right-hand"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)), ((1, 2),))
ARMS = LabelSet("arms", ("background", "left-arm", "right-arm"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)), ((1, 2),))


def bridge(teacher: str, student: str) -> Bridge:
    found = find_bridge(LABEL_SETS[teacher], LABEL_SETS[student])
    assert found is not None
    return found


def row(found: Bridge, part: str) -> dict[str, float]:
    shares = found.shares[found.teacher.parts.index(part)]
    return {found.student.parts[index]: round(float(shares[index]), 6) for index in np.flatnonzero(shares)}


def test_the_built_in_bridges_exist() -> None:
    assert set(BUILT_IN) >= {
        ("cihp", "pascal_person_part"), ("lip", "pascal_person_part"), ("mhp_v2", "pascal_person_part"),
        ("cihp", "lip"), ("cihp", "atr"),
    }  # fmt: skip


@pytest.mark.parametrize(("teacher", "student"), BUILT_IN)
def test_every_row_sums_to_one_and_background_stays_background(teacher: str, student: str) -> None:
    shares = bridge(teacher, student).shares
    assert shares.shape == (LABEL_SETS[teacher].num_parts, LABEL_SETS[student].num_parts) and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert shares[0, 0] == 1


@pytest.mark.parametrize(("teacher", "student"), BUILT_IN)
def test_flipping_commutes_with_the_bridge(teacher: str, student: str) -> None:
    found = bridge(teacher, student)
    mass = np.random.default_rng(0).dirichlet(np.ones(found.teacher.num_parts), size=50).astype(np.float32)
    flipped_first = mass[:, list(found.teacher.flip_permutation)] @ found.shares
    flipped_last = (mass @ found.shares)[:, list(found.student.flip_permutation)]
    np.testing.assert_allclose(flipped_first, flipped_last, rtol=1e-5)


@pytest.mark.parametrize(("teacher", "student"), BUILT_IN)
def test_parts_of_equal_name_map_to_each_other(teacher: str, student: str) -> None:
    found = bridge(teacher, student)
    for part in set(found.teacher.parts) & set(found.student.parts):
        assert row(found, part) == {part: 1}


def test_every_part_of_pascal_gets_a_share() -> None:
    for teacher, student in BUILT_IN:
        if student == "pascal_person_part":
            assert (bridge(teacher, student).shares.sum(axis=0) > 0).all()


def test_rows_of_the_built_in_bridges() -> None:
    to_pascal = bridge("cihp", "pascal_person_part")
    assert [row(to_pascal, part) for part in ("hair", "face", "left-shoe", "glove")] == [
        {"head": 1}, {"head": 1}, {"lower-leg": 1}, {"lower-arm": 1},
    ]  # fmt: skip
    assert set(row(to_pascal, "left-arm")) == {"lower-arm", "upper-arm"} and "left-arm" in to_pascal.divided
    assert "hair" not in to_pascal.divided
    to_lip = bridge("cihp", "lip")
    assert to_lip.shares[:, 10].sum() == 0, "CIHP has no part for LIP's jumpsuits"
    assert "jumpsuits" not in row(to_lip, "torso-skin") and to_lip.name == "cihp -> lip"


def test_equal_parts_need_no_bridge() -> None:
    assert find_bridge(CIHP, CIHP) is None
    copy = LabelSet.from_dict({"name": "mine", "parts": list(CIHP.parts)})
    assert find_bridge(CIHP, copy) is None


def test_a_missing_bridge_lists_the_built_in_ones_and_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"'ccp'.*'lip'.*cihp -> pascal_person_part.*one line.*teacher\.bridge=FILE"):
        find_bridge(LABEL_SETS["ccp"], LIP)


def test_a_custom_bridge_is_loaded_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("background: background\nleft-hand: {left-arm: 0.75, background: 0.25}\n")
    with pytest.raises(ValueError, match=r"mine\.yaml from 'sides' to 'arms': lacks .*right-hand"):
        find_bridge(SIDES, ARMS, file)
    with file.open("a") as end:
        end.write("right-hand: {right-arm: 0.75, background: 0.25}\n")
    found = find_bridge(SIDES, ARMS, file)
    assert found is not None
    np.testing.assert_array_equal(found.shares, np.array([[1, 0, 0], [0.25, 0.75, 0], [0.25, 0, 0.75]], np.float32))
    assert found.divided == ["left-hand", "right-hand"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("left-hand: left-arm\nright-hand: left-arm", "left and right differ in left-hand, right-hand"),
        ("left-hand: {left-arm: 1}\nright-hand: right-arm\nnose: left-arm", "no parts nose"),
        ("left-hand: left-leg\nright-hand: right-arm", "left-hand: the student has no part left-leg"),
        ("left-hand: {left-arm: 0.5}\nright-hand: right-arm", "left-hand: shares sum to 0.5"),
        ("left-hand: {left-arm: 2, background: -1}\nright-hand: right-arm", "left-arm must be above 0"),
        ("left-hand: {left-arm: much}\nright-hand: right-arm", "left-arm must be above 0.*much"),
        ("left-hand: [left-arm]\nright-hand: right-arm", "left-hand: must name a part, or parts with their shares"),
    ],
)
def test_an_invalid_table_is_named_with_its_mistake(tmp_path: Path, lines: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"background: background\n{lines}\n")
    with pytest.raises(ValueError, match=message) as caught:
        find_bridge(SIDES, ARMS, file)
    assert "wrong.yaml" in str(caught.value)
