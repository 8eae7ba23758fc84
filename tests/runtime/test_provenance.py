"""Provenance round trips, in today's layout and in those of earlier versions."""

import json
from typing import Any

import pytest

from m2fp_kd.runtime.provenance import DataSource, Lineage, ObjectiveSummary, Parent, TeacherCard, without_folders

TEACHER = TeacherCard(
    name="m2fp", licence="CC BY-NC 4.0", sha256="ab", trained_on=DataSource("cihp", "cd"), parts=("background", "hat")
)
STUDENT = Lineage(
    teacher=TEACHER,
    licences=("CC BY-NC 4.0",),
    parent=Parent("ef", "student.json", Lineage(student="fpn")),
    objective=ObjectiveSummary({"kl": 0.7}, ("kl",), alpha=0.7, temperature=4.0, anneal=0.5),
    seed=0,
    training_steps=("pruned",),
    val_miou=0.0,
)


def test_round_trip_through_json() -> None:
    assert Lineage.from_dict(json.loads(json.dumps(STUDENT.to_dict()))) == STUDENT


def test_what_is_unknown_is_left_out() -> None:
    assert Lineage().to_dict() == TeacherCard().to_dict() == {}
    assert Lineage(seed=0, val_miou=0.0).to_dict() == {"seed": 0, "val_miou": 0.0}


def test_a_lineage_under_old_names_is_read() -> None:
    old = {
        "teacher": {"name": "m2fp", "ensemble": {"flip": True}, "trained_on": "drawn scenes"},
        "licences": [],
        "parent": None,
        "data": {},
        "recipe": {"terms": {"ce": 1.0}, "teacher_terms": [], "alpha": 0.0, "temperature": 4.0, "fade": 0.5},
        "val/mIoU": 0.25,
    }
    assert Lineage.from_dict(old) == Lineage(
        teacher=TeacherCard("m2fp", tta={"flip": True}, trained_on=DataSource("drawn scenes")),
        objective=ObjectiveSummary({"ce": 1.0}, (), 0.0, 4.0, anneal=0.5),
        val_miou=0.25,
    )


def test_a_teachers_card_as_its_students_parent_is_read() -> None:
    parent = Lineage.from_dict({"name": "ours", "parent": TEACHER.to_dict()}).parent
    assert parent == Parent("ab", lineage=Lineage(name="m2fp", licence="CC BY-NC 4.0", data=DataSource("cihp", "cd")))


@pytest.mark.parametrize("values", [{"colour": 1}, {"teacher": {"colour": 1}}, {"recipe": {"colour": 1}}])
def test_unknown_fields_are_named(values: dict) -> None:
    with pytest.raises(ValueError, match=r"unknown fields \['colour'\].*newer m2fp-kd"):
        Lineage.from_dict(values)


@pytest.mark.parametrize(
    "values", [5, [5], {"teacher": 5}, {"data": 5}, {"parent": 5}, {"parent": {"file": "a"}}, {"objective": [5]}]
)
def test_values_of_another_kind_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"holds names and values, not|of a Parent are missing"):
        Lineage.from_dict(values)


def test_files_are_recorded_by_name() -> None:
    """Also those that an earlier version wrote with their folders."""
    assert Parent("ab", "/home/me/runs/first/student.json").file == "student.json"
    assert Parent.from_dict({"sha256": "ab", "file": "C:\\Users\\me\\student.json"}).file == "student.json"
    for weights, name in (("/home/me/lite0.pth", "lite0.pth"), ("../lite0.pth", "lite0.pth"), ("ImageNet", "ImageNet")):
        assert Lineage(backbone_weights=weights).backbone_weights == name
        assert Lineage.from_dict({"backbone_weights": weights}).backbone_weights == name


def test_settings_keep_relative_paths_and_lose_the_folders_of_absolute_ones() -> None:
    settings = {"data": {"root": "/home/me/photos", "size": 160}, "teachers": ["/a/b.json", "c/d.json"], "x": None}
    kept = {"data": {"root": "photos", "size": 160}, "teachers": ["b.json", "c/d.json"], "x": None}
    assert without_folders(settings) == kept
    assert without_folders({"labels": "D:\\sets\\own.yaml", "lr": 1e-3, "text": "a/b"}) == {
        "labels": "own.yaml", "lr": 1e-3, "text": "a/b",
    }  # fmt: skip
