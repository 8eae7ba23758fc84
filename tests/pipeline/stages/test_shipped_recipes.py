"""Shipped recipes pass their gates on the student that `make train` leaves, with shipped settings."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from m2fp_kd.config import register_resolvers
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import CONF

pytestmark = pytest.mark.long

RECIPES = sorted(path.stem for path in (CONF / "compress").glob("*.yaml") if path.stem not in ("base", "int8_dynamic"))
"""All but the recipe for mask-classification students."""


def _run(folder: Path, *overrides: str) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        run(compose("config", overrides=["logger=csv", f"run_dir={folder}", *overrides]))


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the student of `make train`; its own recipe passes, or this raises."""
    folder = tmp_path_factory.mktemp("train")
    _run(folder)
    return folder / "student.json"


@pytest.mark.parametrize("choice", [*(f"compress={name}" for name in RECIPES), "experiment=edge"])
def test_a_shipped_recipe_passes_its_gates(choice: str, student: Path, tmp_path: Path) -> None:
    _run(tmp_path, "stage=compress", f"student.checkpoint={student}", choice)
