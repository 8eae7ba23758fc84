"""A run on photos and labels of the user's own: `data=own data.root=DIR data.labels=FILE data.name=NAME`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import load_card
from tests.pipeline.conftest import Composer

PARTS = ["background", "dress", "shoe", "hat", "bag"]


@pytest.fixture
def dresses(tmp_path: Path) -> Path:
    """Twenty-two scenes with labels 0 to 2, and a file with the label set, whose hats and bags never occur."""
    folder = tmp_path / "photos"
    for kind in ("Images", "Category_ids"):
        (folder / "Training" / kind).mkdir(parents=True)
    for seed in range(22):
        photo = draw_scene(seed, 64, (1, 2))
        Image.fromarray(photo.image).save(folder / "Training" / "Images" / f"{seed}.png")
        parts = np.where(photo.parts == 0, 0, 1 + photo.parts % 2).astype(np.uint8)
        Image.fromarray(parts).save(folder / "Training" / "Category_ids" / f"{seed}.png")
    (tmp_path / "dresses.yaml").write_text(f"name: dresses\nparts: {PARTS}\n")
    return folder


def test_a_run_on_own_labels_has_their_name_and_warns_of_parts_that_never_occur(
    composed: Composer, dresses: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = ["data=own", f"data.root={dresses}", f"data.labels={tmp_path / 'dresses.yaml'}", "data.name=catalogue"]
    cfg = composed(*own, "data.licence=our own photos", "trainer.max_epochs=1")
    assert cfg.name.startswith("train-catalogue-fpn-")
    run(cfg)
    folder = Path(cfg.run_dir)
    report, card = read_report(folder / "report.json"), load_card(folder / "artefacts" / "fp32" / "model.onnx")
    lineage = load_network(folder / "student.json").lineage
    assert report.data.name == card.data.name == lineage.data.name == "catalogue"
    assert report.labels.name == card.labels.name == "dresses" and list(card.labels.parts) == PARTS
    assert lineage.licences == ("our own photos",) and report.data.validation_photos == 2
    (warning,) = [line for line in caplog.messages if "never name" in line]
    assert "never name 2 parts of 'dresses': hat, bag. If they are labels of another label set" in warning
