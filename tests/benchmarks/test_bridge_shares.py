"""The drafted bridge is a file that `teacher.bridge` reads."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bridge_shares import draft
from m2fp_kd.labels import LABEL_SETS, LabelSet, find_bridge
from m2fp_kd.labels.colours import distinct_colours

TEACHER = LabelSet("teacher", ("background", "hat", "left-arm", "right-arm", "ring"), distinct_colours(5), ((2, 3),))
STUDENT = LabelSet("student", ("background", "head", "left-hand", "right-hand"), distinct_colours(4), ((2, 3),))


def test_rows_are_the_teachers_parts_and_shares_those_of_the_students_labels() -> None:
    mass = np.array([[90.0, 1, 1, 1], [1, 9, 0, 0], [20, 0, 60, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert draft(mass, TEACHER, STUDENT) == [
        "background: {background: 1.0}",
        "hat: {head: 0.9, background: 0.1}",
        "left-arm: {left-hand: 0.75, background: 0.25}",
        "right-arm: {right-hand: 0.75, background: 0.25}",
        "ring: background # the teacher never found it in these photos",
    ]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("giver", "receiver"), [("cihp", "pascal_person_part"), ("lip", "atr"), ("ccp", "cihp")])
def test_a_draft_loads_whatever_was_counted(giver: str, receiver: str, seed: int, tmp_path: Path) -> None:
    teacher, student = LABEL_SETS[giver], LABEL_SETS[receiver]
    rng = np.random.default_rng(seed)
    mass = rng.gamma(0.2, 1e4, (teacher.num_parts, student.num_parts)) * rng.integers(0, 2, (teacher.num_parts, 1))
    file = tmp_path / "bridge.yaml"
    file.write_text("\n".join(draft(mass, teacher, student)))
    bridge = find_bridge(teacher, student, file)
    assert bridge is not None and np.allclose(bridge.shares.sum(axis=1), 1, atol=1e-5)
