"""Runs on photos with and without labels."""

import shutil
from pathlib import Path

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from m2fp_kd.data.layouts import LayoutError
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.module import build_module
from tests.pipeline.conftest import Composer

pytestmark = pytest.mark.long


@pytest.fixture
def bare(scenes: Path, tmp_path: Path) -> Path:
    """Two photos without labels."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for number, photo in enumerate(sorted((scenes / "Validation" / "Images").iterdir())):
        shutil.copy(photo, folder / f"bare{number}{photo.suffix}")
    return folder


def test_unlabelled_photos_are_cached_and_distilled_on(
    composed: Composer, teacher_file: Path, bare: Path, tmp_path: Path
) -> None:
    cached = ["teacher=cached", f"teacher.checkpoint={teacher_file}", f"teacher.cache={tmp_path / 'cache'}"]
    mixed = [f"data.unlabelled={bare}", "data.unlabelled_ratio=0.25", "data.label_fraction=0.5"]
    filling = composed("stage=cache", *cached, *mixed, f"run_dir={tmp_path / 'filling'}")
    assert run(filling) == {"cached": 3 + 3 + 2 + 2}
    cfg = composed(*cached, *mixed, "distill=classic", "trainer.max_epochs=1")
    run(cfg)
    data = read_report(Path(cfg.run_dir) / "report.json").data
    assert (data.training_photos, data.unlabelled_photos) == (3, 5)


def test_a_live_teacher_teaches_queries_on_unlabelled_photos(
    composed: Composer, teacher_file: Path, bare: Path
) -> None:
    cfg = composed(
        "teacher=live", f"teacher.checkpoint={teacher_file}", f"data.unlabelled={bare}", "data.label_fraction=0.5",
        "distill=classic", "trainer.max_epochs=1", "student=m2fp", "student.network.queries=8",
        "student.network.layers=1",
    )  # fmt: skip
    run(cfg)
    assert {"train/kl", "train/mask"} <= set(read_report(Path(cfg.run_dir) / "report.json").curves)


@pytest.mark.parametrize(
    "overrides",
    [["distill=labels"], ["stage=teacher"], ["distill=classic", "distill.alpha=0"]],
)
def test_unlabelled_photos_need_a_teacher(composed: Composer, overrides: list[str]) -> None:
    with pytest.raises(ValueError, match=r"no term of the objective reads one.*teacher=cached.*unlabelled_ratio=0"):
        run(composed("data.label_fraction=0.5", *overrides))


@pytest.mark.parametrize(("anneal", "warned"), [("0.6", True), ("null", False)])
def test_teacher_terms_that_end_early_give_a_warning_for_unlabelled_photos(
    composed: Composer, caplog: pytest.LogCaptureFixture, anneal: str, warned: bool
) -> None:
    cfg = composed("data.label_fraction=0.5", "teacher=live", "distill=best", f"distill.anneal={anneal}")
    datamodule = instantiate(cfg.data.module)
    with pytest.raises(ValueError, match="needs"):  # the configuration sets no teacher
        build_module(cfg, instantiate(cfg.student.network), instantiate(cfg.distill.terms), datamodule, None)
    assert ("unlabelled photos contribute nothing after that" in caplog.text) == warned


def test_a_twin_can_train_on_the_labelled_photos_only(composed: Composer) -> None:
    cfg = composed("data.label_fraction=0.5", "data.unlabelled_ratio=0", "trainer.max_epochs=1")
    run(cfg)
    data = read_report(Path(cfg.run_dir) / "report.json").data
    assert (data.training_photos, data.unlabelled_photos) == (3, 0)


def test_an_empty_folder_of_unlabelled_photos_is_an_error(composed: Composer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InstantiationException, match=r"has no .*check data\.unlabelled") as caught:
        run(composed(f"data.unlabelled={tmp_path / 'empty'}"))
    assert isinstance(caught.value.__cause__, LayoutError)
