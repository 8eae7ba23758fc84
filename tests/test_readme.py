"""The README is short, and its Python runs."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PACKAGE = ROOT / "src" / "m2fp_kd"


def test_it_fits_on_a_few_screens() -> None:
    assert len(README.splitlines()) <= 120


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the demo as the run's artefact and a scene of the sample as the photo."""
    shutil.copytree(PACKAGE / "demo", tmp_path / "runs" / "NAME" / "artefacts" / "int8")
    scene = sorted((ROOT / "data" / "sample" / "Validation" / "Images").iterdir())[0]
    shutil.copy(scene, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scope: dict[str, object] = {}
    exec(program, scope)
    assert "(160, 160)" in capsys.readouterr().out
    assert scope["results"], "the demo finds no part in this scene"
    assert (tmp_path / "mosaic.png").stat().st_size > 10_000
