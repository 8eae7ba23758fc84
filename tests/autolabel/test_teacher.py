"""Labels by a teacher, and a student that trains on them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import DEMO, cli
from m2fp_kd.autolabel.artefact import ArtefactLabeller
from m2fp_kd.autolabel.teacher import TeacherLabeller
from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.artefact import load_card
from m2fp_kd.runtime.geometry import restore_dense
from tests.pipeline.conftest import Composer, composed, made_up_times, scenes, teacher_file  # noqa: F401  fixtures

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def photo() -> np.ndarray:
    return draw_scene(0, (60, 90)).image


def test_labels_and_size_are_those_of_the_file(teacher_file, photo):  # noqa: F811
    labeller = TeacherLabeller([str(teacher_file)])
    assert labeller.labels == CIHP
    assert labeller.model == {
        "name": "tiny", "licence": "Apache-2.0", "data": None, "sha256": load_network(teacher_file).sha256,
        "size": 64, "tta": None, "bridge": None,
    }  # fmt: skip
    log_parts, placement = labeller.teacher.on_own_grid(photo)
    answer, expected = labeller(photo), softmax(restore_dense(log_parts, placement), axis=0)
    np.testing.assert_array_equal(answer.part_map, expected.argmax(axis=0))
    np.testing.assert_allclose(answer.confidence, expected.max(axis=0), rtol=1e-5)
    assert answer.persons is None


def test_settings_views_and_members_change_the_facts_and_the_answer(teacher_file, photo):  # noqa: F811
    plain = TeacherLabeller([str(teacher_file)])
    others = [
        TeacherLabeller([str(teacher_file)], overrides=["teacher.size=96"]),
        TeacherLabeller([str(teacher_file)], tta=True),
        TeacherLabeller([str(teacher_file)], "pascal_person_part"),
        TeacherLabeller([str(teacher_file)] * 2, overrides=["teacher.size=96"]),
    ]
    assert [other.model["size"] for other in others] == [96, 64, 64, 96]
    assert others[2].labels == LABEL_SETS["pascal_person_part"] and others[2].model["bridge"]
    for other in others:
        assert other.model != plain.model
        assert (other(photo).confidence != plain(photo).confidence).any()


def test_an_artefact_teaches_in_its_own_labels_and_size(photo):
    artefact, teacher = ArtefactLabeller(DEMO), TeacherLabeller([str(DEMO)])
    assert teacher.labels == artefact.labels and teacher.model["size"] == artefact.model["size"]
    assert teacher.model["licence"] in artefact.model["licence"]
    found, expected = teacher(photo), artefact(photo)
    assert (found.part_map == expected.part_map).mean() > 0.99
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.02)


def test_persons_need_one_network_with_queries(teacher_file, photo):  # noqa: F811
    answer = TeacherLabeller([str(teacher_file)], persons=True)(photo)
    assert answer.persons is not None and answer.persons.shape == photo.shape[:2]
    assert not answer.persons[answer.part_map == 0].any()
    with pytest.raises(ValueError, match="separates no persons"):
        TeacherLabeller([str(teacher_file)] * 2, persons=True)


@pytest.mark.parametrize(
    ("overrides", "labels", "reason"),
    [
        (["teacher.sise=96"], None, "--set teacher.sise=96: Could not override"),
        (["teacher.tta.scales=[0]"], None, "must be a list of values, each a number above 0"),
        ([], "nonsense", "unknown label set 'nonsense'"),
        ([], "ccp", "bridge"),
    ],
)
def test_wrong_settings_are_named(teacher_file, overrides, labels, reason):  # noqa: F811
    with pytest.raises((ValueError, CheckpointError), match=reason.replace("[", r"\[")):
        TeacherLabeller([str(teacher_file)], labels, overrides)


def test_a_label_set_of_the_users_own_is_asked_for(teacher_file, tmp_path):  # noqa: F811
    for file in teacher_file.parent.glob("teacher.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes().replace(b'"name": "cihp"', b'"name": "mine"'))
    with pytest.raises(ValueError, match=r"has the label set 'mine', which is not built in; add --labels FILE\.yaml"):
        TeacherLabeller([str(tmp_path / "teacher.json")])


def test_a_student_trains_on_the_labels(teacher_file, composed: Composer, tmp_path: Path) -> None:  # noqa: F811
    photos, out = tmp_path / "photos", tmp_path / "labelled"
    photos.mkdir()
    for number in range(12):
        Image.fromarray(draw_scene(number, 64).image).save(photos / f"{number}.png")
    words = ["--teacher", str(teacher_file), "--persons", "--ignore-below", "0.05"]
    assert cli.main(["autolabel", str(photos), "-o", str(out), *words]) == 0
    assert json.loads((out / "autolabel.json").read_text())["progress"]["labelled"] == 12
    records = m2fp_records(out, "Training")
    assert all(read_record(record, CIHP).persons is not None for record in records)
    metrics = run(composed("data=own", f"data.root={out}", "data.labels=cihp", "trainer.max_epochs=1"))
    assert 0 <= metrics["student_fp32/mIoU"] <= 1
    origin = json.loads((out / "autolabel.json").read_text())["settings"]["model"]
    assert origin["licence"] == "Apache-2.0"
    lineage = load_network(tmp_path / "run" / "student.json").lineage
    card = load_card(tmp_path / "run" / "artefacts" / "fp32" / "model.onnx")
    for data, licence in ((lineage.data, "; ".join(lineage.licences)), (card.data, card.teacher.licence)):
        assert data.labelled_by == f"tiny ({origin['sha256'][:12]})" and licence == "Apache-2.0"
