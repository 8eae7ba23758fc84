"""Inputs of an online run; a stub without a server records the calls."""

from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.distill.training.loggers import TolerantWandbLogger
from m2fp_kd.pipeline.tracking.lineage import log_lineage, use_network
from m2fp_kd.pipeline.tracking.record import log_teacher
from m2fp_kd.runtime.provenance import Lineage, Parent, TeacherCard
from tests.pipeline.tracking.conftest import OfflineRun

SHA256 = "0123456789abcdef" * 4


class OnlineRun:
    """Record logged and used artefacts."""

    id, entity, project, offline = "abc", "we", "m2fp-kd", False

    def __init__(self) -> None:
        self.used: list[Any] = []
        self.logged: list[wandb.Artifact] = []

    def use_artifact(self, artefact: Any) -> None:
        self.used.append(artefact)

    def log_artifact(self, artefact: wandb.Artifact) -> None:
        self.logged.append(artefact)


def know(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make W&B find these artefacts."""
    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(artifact_exists=lambda name: name in names))


def test_a_teacher_of_the_project_is_used_by_its_logged_name(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "we/m2fp-kd/teacher-0123456789ab:latest"
    know(monkeypatch, name)
    run = OnlineRun()
    use_network(run, "teacher", TeacherCard("m2fp", sha256=SHA256))
    assert run.used == [name]


def test_a_published_teacher_is_used_by_its_known_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch)
    run = OnlineRun()
    known = TeacherCard("m2fp", "CC BY-NC 4.0", SHA256)
    use_network(run, "teacher", known)
    (card,) = run.used
    assert (card.name, card.type, card.metadata) == ("teacher-0123456789ab", "teacher", known.to_dict())
    assert set(card.manifest.entries) == {"card.json"}


def test_an_offline_run_uses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "Api", None)  # a call would fail
    run = OnlineRun()
    run.offline = True
    use_network(run, "teacher", TeacherCard(sha256=SHA256))
    assert run.used == []


def test_a_students_run_uses_its_teacher(offline: OfflineRun, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch)
    run, sha256 = OnlineRun(), offline.report.lineage.teacher.sha256
    report: Any = SimpleNamespace(lineage=offline.report.lineage, models=offline.report.models)
    log_lineage(run, report, offline.folder, None)
    assert [card.name for card in run.used] == [f"teacher-{sha256[:12]}"]
    student = load_network(offline.folder / "student.json").sha256
    assert [made.name for made in run.logged] == [f"student-{student[:12]}", "fp32-abc", "int8-abc", "report-abc"]


def test_a_run_that_starts_from_a_student_uses_it_too(offline: OfflineRun, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, f"we/m2fp-kd/student-{SHA256[:12]}:latest")
    report: Any = SimpleNamespace(lineage=offline.report.lineage, models={})
    run = OnlineRun()
    log_lineage(run, report, offline.folder, SHA256)
    assert run.used[1] == f"we/m2fp-kd/student-{SHA256[:12]}:latest"


def test_a_trained_teacher_is_logged_under_the_name_that_students_use(
    offline: OfflineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch)
    run = OnlineRun()
    lineage = Lineage(name="m2fp", licence="Apache-2.0", parent=Parent(SHA256), val_miou=0.5)
    path = offline.folder / "student.json"  # any saved network
    log_teacher([TolerantWandbLogger(experiment=run)], path, lineage)
    (teacher,), (start,) = run.logged, run.used
    assert teacher.name == f"teacher-{load_network(path).sha256[:12]}" and teacher.type == "teacher"
    assert teacher.metadata["started from"] == SHA256 and teacher.metadata["val_miou"] == 0.5
    assert start.name == f"teacher-{SHA256[:12]}"
