"""A teacher is scored once for the same photos, and again for others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2fp_kd.data.layouts import Record, m2fp_records
from m2fp_kd.evaluation.metrics.boundary import Boundary
from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.pipeline.record.teacher_scores import kept_scores
from m2fp_kd.runtime.provenance import TeacherCard

SCORED: dict[str, Any] = {
    "miou": 0.5,
    "miou_absent_zero": 0.4,
    "iou": {"head": 0.5, "torso": None},
    "instances": {},
    "boundary": Boundary(0.3, 0.7, {"head": 0.3, "torso": None}, {"head": 0.7, "torso": None}),
    "reliability": Reliability([0, 3], [None, 0.9], [None, 1.0], 0.1),
}


@pytest.fixture
def records(scenes: Path) -> list[Record]:
    return m2fp_records(scenes, "Validation")


class Teacher:
    """Count how often it is scored."""

    def __init__(self, scored: dict[str, Any] = SCORED) -> None:
        self.scored = scored
        self.calls = 0

    def score(self) -> dict[str, Any]:
        self.calls += 1
        return self.scored


def test_same_teacher_and_photos_are_scored_once(tmp_path: Path, records: list[Record]) -> None:
    teacher = Teacher()
    first = kept_scores(tmp_path, TeacherCard(sha256="a"), records, teacher.score)
    again = kept_scores(tmp_path, TeacherCard(sha256="a"), records, teacher.score)
    assert teacher.calls == 1
    assert first == again == SCORED


def test_scores_that_were_not_computed_are_kept(tmp_path: Path, records: list[Record]) -> None:
    scored = SCORED | {"reliability": None, "boundary": None}
    for _ in range(2):
        assert kept_scores(tmp_path, TeacherCard(sha256="a"), records, Teacher(scored).score) == scored


@pytest.mark.parametrize("changed", ["weights", "views", "photos"])
def test_another_teacher_or_other_photos_are_scored_again(tmp_path: Path, records: list[Record], changed: str) -> None:
    teacher, card = Teacher(), TeacherCard(sha256="a", tta={"flip": False})
    kept_scores(tmp_path, card, records, teacher.score)
    other = {"weights": {"sha256": "b"}, "views": {"tta": {"flip": True}}}.get(changed, {})
    kept_scores(tmp_path, replace(card, **other), records[:1] if changed == "photos" else records, teacher.score)
    assert teacher.calls == 2


@pytest.mark.parametrize("content", ["", "[]", '{"miou": ', '{"colour": 1}', '{"boundary": 3}'])
def test_damaged_scores_are_computed_again(tmp_path: Path, records: list[Record], content: str) -> None:
    teacher = Teacher()
    for calls in (1, 2):
        assert kept_scores(tmp_path, TeacherCard(sha256="a"), records, teacher.score) == SCORED
        assert teacher.calls == calls
        (file,) = tmp_path.iterdir()
        file.write_text(content)


def test_scores_are_returned_if_the_folder_cannot_be_written(tmp_path: Path, records: list[Record]) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert kept_scores(in_the_way, TeacherCard(sha256="a"), records, Teacher().score) == SCORED
