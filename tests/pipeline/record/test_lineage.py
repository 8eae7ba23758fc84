"""The commit in a lineage is that of the code."""

import subprocess
from pathlib import Path

import pytest

from m2fp_kd.pipeline.record import lineage


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), (*identity, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_has_its_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "CHECKOUT", repository)
    commit = lineage.git_commit()
    assert commit and len(commit) == 40


def test_an_installation_inside_another_repository_has_none(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "CHECKOUT", repository / "venv" / "lib")
    (repository / "venv" / "lib").mkdir(parents=True)
    assert lineage.git_commit() is None
