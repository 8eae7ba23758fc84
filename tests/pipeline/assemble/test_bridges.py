"""Whole runs with a CIHP teacher and a student of PASCAL-Person-Part's regions."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.data.teacher_cache import CacheError
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import load_card
from tests.pipeline.conftest import Composer

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def regions(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label the scenes with the parts of PASCAL-Person-Part."""
    folder = tmp_path_factory.mktemp("regions")
    bridge = find_bridge(LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"])
    assert bridge is not None
    shutil.copytree(scenes, folder, dirs_exist_ok=True)
    for path in folder.rglob("Category_ids/*.png"):
        parts = np.array(Image.open(path))
        Image.fromarray(bridge.shares.argmax(axis=1).astype(np.uint8)[parts]).save(path)
    return folder


@pytest.fixture
def pascal(composed: Composer, regions: Path, teacher_file: Path) -> Composer:
    """Compose the settings of a student of these regions with a CIHP teacher."""
    return lambda *overrides: composed(
        "data=pascal_person_part", f"data.root={regions}", "data.splits.val=Validation", "data.splits.test=null",
        "distill=classic", "trainer.max_epochs=1", *overrides,
    )  # fmt: skip


def test_a_cached_teacher_of_another_label_set_teaches(pascal: Composer, teacher_file: Path, tmp_path: Path) -> None:
    teacher = ["teacher=cached", f"teacher.checkpoint={teacher_file}", f"teacher.cache={tmp_path / 'cache'}"]
    cfg = pascal(*teacher, "teacher.labels=cihp")
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert {"train/kl", "train/ce"} <= set(report.curves)
    assert list(report.models["teacher"].iou) == list(LABEL_SETS["pascal_person_part"].parts)
    student = load_network(Path(cfg.run_dir) / "student.json")
    assert student.labels.parts == LABEL_SETS["pascal_person_part"].parts
    assert student.lineage.teacher.bridge == "cihp -> pascal_person_part"
    (card,) = (load_card(path).teacher for path in Path(cfg.run_dir).rglob("artefacts/*/model.onnx"))
    assert card.bridge == "cihp -> pascal_person_part"

    (folder,) = (tmp_path / "cache").iterdir()  # a filled cache is enough without the weights
    stored = pascal("teacher=sample", f"teacher.cache={folder}", "teacher.labels=cihp", f"run_dir={cfg.run_dir}-stored")
    run(stored)
    again = read_report(Path(stored.run_dir) / "report.json")
    assert again.models["teacher"].iou.keys() == report.models["teacher"].iou.keys()
    assert again.lineage.teacher == report.lineage.teacher and "train/kl" in again.curves
    with pytest.raises(CacheError, match="has other parts"):
        run(pascal("teacher=sample", f"teacher.cache={folder}", f"run_dir={cfg.run_dir}-wrong"))


def test_a_live_teacher_of_another_label_set_teaches(pascal: Composer, teacher_file: Path) -> None:
    cfg = pascal("teacher=live", f"teacher.checkpoint={teacher_file}", "teacher.labels=cihp")
    assert np.isfinite(run(cfg)["val/mIoU"])
    assert "train/kl" in read_report(Path(cfg.run_dir) / "report.json").curves


def test_a_bridge_of_the_users_own_is_used(pascal: Composer, teacher_file: Path, tmp_path: Path) -> None:
    bridge = tmp_path / "mine.yaml"
    bridge.write_text("background: background\n" + "".join(f"{part}: head\n" for part in LABEL_SETS["cihp"].parts[1:]))
    live = ["teacher=live", f"teacher.checkpoint={teacher_file}", "teacher.labels=cihp"]
    cfg = pascal(*live, f"teacher.bridge={bridge}")
    run(cfg)
    iou = read_report(Path(cfg.run_dir) / "report.json").models["teacher"].iou
    assert not any(iou[part] for part in ("torso", "upper-leg", "lower-arm"))
    bridge.write_text(bridge.read_text().replace("hat: head", "hat: torso"))
    with pytest.raises(ValueError, match=r"belongs to another teacher\.bridge"):
        run(cfg)


def test_wrong_label_sets_raise_with_the_fix(pascal: Composer, composed: Composer, teacher_file: Path) -> None:
    live = ["teacher=live", f"teacher.checkpoint={teacher_file}"]
    with pytest.raises(CheckpointError, match=r"has the 20 parts of 'cihp', not the 7.*set teacher\.labels=cihp"):
        run(pascal(*live))
    other = f"run_dir={composed().run_dir}-other"
    with pytest.raises(ValueError, match=r"there is no bridge from the teacher's 'cihp' to the student's 'ccp'"):
        run(composed(*live, "teacher.labels=cihp", "data.labels=ccp", other))
    with pytest.raises(ValueError, match=r"stage=teacher trains on the labels.*remove teacher\.labels=lip"):
        run(composed("stage=teacher", "teacher.labels=lip", f"{other}-one"))
