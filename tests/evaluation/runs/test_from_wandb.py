"""Reports are read through a stub of `wandb.Api` with the attributes of runs that logged a report."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from m2fp_kd.evaluation.report.report import read_report, write_report
from m2fp_kd.evaluation.runs.from_wandb import read_wandb
from tests.evaluation.reports import tiny_pictures, tiny_report


@dataclass(frozen=True)
class Artefact:
    """A logged folder."""

    name: str
    folder: Path

    def download(self, root: str) -> str:
        shutil.copytree(self.folder, root, dirs_exist_ok=True)
        return root


@dataclass(frozen=True)
class Run:
    """A run that logged a student and then its report, several times if it was resumed."""

    id: str
    name: str
    reports: list[Path] = field(default_factory=list)

    def logged_artifacts(self) -> list[Artefact]:
        student = Artefact("student-0123456789ab:v0", Path("nowhere"))
        return [student, *(Artefact(f"report-{self.id}:v{count}", path) for count, path in enumerate(self.reports))]


def api_of(*runs: Run) -> SimpleNamespace:
    return SimpleNamespace(runs=lambda project: list(runs) if project == "we/m2fp-kd" else [])


def test_the_last_report_of_every_run_is_read_with_its_pictures(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_report(old, tiny_report("old"))
    path, _ = write_report(new, tiny_report("new"), tiny_pictures())
    api = api_of(Run("1x", "T4", [old, new]), Run("2y", "killed"), Run("3z", "T4", [old]))
    reports = read_wandb(api, "we/m2fp-kd", tmp_path / "got")
    assert list(reports) == ["T4-1x", "T4-3z"]
    assert reports["T4-1x"] == read_report(path)
    for picture in reports["T4-1x"].pictures:
        assert (tmp_path / "got" / "T4-1x" / picture.file).read_bytes() == (new / picture.file).read_bytes()


def test_a_project_without_reports_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no run of we/other .*logger=wandb"):
        read_wandb(api_of(), "we/other", tmp_path)
    with pytest.raises(ValueError, match="has a report"):
        read_wandb(api_of(Run("2y", "killed")), "we/m2fp-kd", tmp_path)
