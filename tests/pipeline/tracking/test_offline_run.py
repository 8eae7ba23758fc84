"""The W&B record of an offline run."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.labels import load_label_set
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import load_card
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.provenance import without_folders
from tests.pipeline.conftest import Composer
from tests.pipeline.tracking.conftest import OfflineRun
from tests.pipeline.tracking.records import read_record

LABELS = load_label_set("cihp")
MODELS = ["teacher", "student_fp32", "student_int8"]


def test_the_record_has_group_stage_and_tags(offline: OfflineRun) -> None:
    found = offline.record.run
    assert found["run_group"] == "sample" and found["job_type"] == "train" and found["project"] == "m2fp-kd"
    assert found["tags"] == ["fpn", "mobilenetv3_small", "kl", "ce"]
    assert found["display_name"] == offline.cfg.name
    assert offline.record.exit_code == 0


def test_the_whole_resolved_configuration_is_recorded(offline: OfflineRun) -> None:
    recorded = {key: value for key, value in offline.record.config.items() if not key.startswith("_wandb")}
    assert recorded == json.loads(json.dumps(without_folders(OmegaConf.to_container(offline.cfg, resolve=True))))


def test_curves_equal_those_of_the_report(offline: OfflineRun) -> None:
    curves = offline.report.curves
    assert offline.record.curve("val/mIoU") == pytest.approx([value for _, value in curves["val/mIoU"]])
    assert len(offline.record.curve("val/mIoU")) == 3
    for key in ("train/kl", "train/ce"):
        assert offline.record.curve(key) == pytest.approx([value for _, value in curves[key]], rel=1e-5)
    validation = next(step for step in offline.record.history if "val/mIoU" in step)
    assert {key for key in validation if key.startswith("val/IoU/")} == {f"val/IoU/{part}" for part in LABELS.parts}


def test_the_summary_holds_the_figures_of_the_report(offline: OfflineRun) -> None:
    summary, models = offline.record.summary, offline.report.models
    assert summary["val/mIoU"] == pytest.approx(max(offline.record.curve("val/mIoU")))
    for name in MODELS:
        assert summary[f"{name}/mIoU"] == pytest.approx(models[name].miou)
    int8 = models["student_int8"]
    for figure in ("megabytes", "p50_ms", "p95_ms", "peak_mb", "parameters", "gmacs"):
        assert summary[f"shipped/{figure}"] == summary[f"student_int8/{figure}"] == pytest.approx(getattr(int8, figure))
    for part, value in int8.iou.items():
        assert summary.get(f"shipped/IoU/{part}") == pytest.approx(value)


def table(offline: OfflineRun, key: str) -> list[dict]:
    """Return the rows of a logged table by column."""
    logged = offline.record.artefacts[f"run-{offline.record.run['run_id']}-{key}"].table()
    return [dict(zip(logged["columns"], row, strict=True)) for row in logged["data"]]


def test_tables_compare_models_hops_and_parts(offline: OfflineRun) -> None:
    results = table(offline, "results")
    assert [row.pop("model") for row in results] == MODELS
    for row, name in zip(results, MODELS, strict=True):
        assert row == pytest.approx({key: getattr(offline.report.models[name], key) for key in row})
    assert [row["hop"] for row in table(offline, "parity")] == ["PyTorch -> fp32", "fp32 -> int8"]
    assert all(row["passed"] is True for row in table(offline, "parity"))
    for row in table(offline, "IoU"):
        assert [row[name] for name in MODELS] == [offline.report.models[name].iou[row["part"]] for name in MODELS]


def test_every_model_has_a_bar_per_part(offline: OfflineRun) -> None:
    for name in MODELS:
        panel = offline.record.config[f"_wandb.visualize.parts/{name}"]["panel_config"]
        assert panel["panelDefId"] == "wandb/bar/v0" and panel["fieldSettings"] == {"label": "part", "value": "IoU"}
        assert panel["userQuery"]["queryFields"][0]["fields"][-1]["args"][0]["value"] == f"parts/{name}_table"
        file = f"parts/{name}_table.table.json"
        (bars,) = (artefact.table() for artefact in offline.record.artefacts.values() if file in artefact.files)
        measured = offline.report.models[name].iou.items()
        assert bars["data"] == [[part, value] for part, value in measured if value is not None]


def test_predictions_are_photos_with_the_parts_as_masks(offline: OfflineRun, scenes: Path) -> None:
    logged = offline.record.artefacts[f"run-{offline.record.run['run_id']}-predictions"]
    rows = table(offline, "predictions")
    parser = Parser.load(offline.folder / "artefacts" / "int8")
    assert len(rows) == 2
    for row in rows:
        assert set(row["parts"]["masks"]) == {"truth", *MODELS}
        photo = scenes / "Validation" / "Images" / f"{row['photo']}.jpg"
        shown = np.asarray(Image.open(logged.files[row["parts"]["path"]]), float)
        assert row["parts"]["format"] == "jpg"
        assert np.abs(shown - np.asarray(Image.open(photo), float)).mean() < 10
        mask = np.asarray(Image.open(logged.files[row["parts"]["masks"]["student_int8"]["path"]]))
        np.testing.assert_array_equal(mask, parser(photo).part_map)
        assert 0 <= row["student_int8/mIoU"] <= 1
    (classes,) = (path for name, path in logged.files.items() if name.startswith("media/classes"))
    names = {entry["id"]: entry["name"] for entry in json.loads(classes.read_text())["class_set"]}
    assert names == dict(enumerate(LABELS.parts)) | {255: "ignored"}


def test_training_logs_few_pictures(offline: OfflineRun) -> None:
    masks = offline.record.curve("val/predictions.all_masks")
    assert len(masks) == 2, "after the first and the second validation, not after the third"
    assert all(set(mask) == {"truth", "student"} for mask in masks[0])
    names = [path.name for path in offline.wandb_folder.glob("files/media/images/val/*")]
    assert len(names) == 4 and all(name.endswith(".jpg") for name in names)


def test_lineage_leads_from_the_teacher_to_the_int8_file(offline: OfflineRun, teacher_file: Path) -> None:
    """Check the run's own files and the metadata of W&B's artefacts."""
    teacher, student = load_network(teacher_file).sha256, load_network(offline.folder / "student.json").sha256
    card = load_card(offline.folder / "artefacts" / "int8" / "model.onnx")
    assert card.teacher.sha256 == teacher == offline.report.lineage.teacher.sha256
    assert card.parents["student"] == student and "fp32" in card.parents

    artefacts, run_id = offline.record.artefacts, offline.record.run["run_id"]
    logged = {name: artefact.type for name, artefact in artefacts.items() if artefact.type != "run_table"}
    assert logged == {
        f"student-{student[:12]}": "student", f"fp32-{run_id}": "artefact", f"int8-{run_id}": "artefact",
        f"report-{run_id}": "report",
    }  # fmt: skip
    in_wandb = artefacts[f"int8-{run_id}"].metadata
    assert in_wandb["parents"] == card.parents and in_wandb["precision"] == "int8"
    assert in_wandb["teacher"] == {"name": "tiny", "licence": "Apache-2.0", "sha256": teacher}
    known = artefacts[f"student-{student[:12]}"].metadata
    assert known["sha256"] == student and known["teacher"]["sha256"] == teacher
    assert known["objective"]["terms"] == {"kl": 0.7, "ce": pytest.approx(0.3)}


def test_artefacts_hold_the_files_of_the_run(offline: OfflineRun) -> None:
    run_id = offline.record.run["run_id"]
    assert set(offline.record.artefacts[f"int8-{run_id}"].files) == {
        "int8/model.onnx", "int8/card.json", "int8/checks.json"
    }  # fmt: skip
    report = set(offline.record.artefacts[f"report-{run_id}"].files)
    assert report == {"report.json", "report.html", "pictures/01.jpg", "pictures/02.jpg"}
    (student,) = (artefact for artefact in offline.record.artefacts.values() if artefact.type == "student")
    assert student.files["student.safetensors"] == offline.folder / "student.safetensors", "referred to, not copied"
    copies = [path for folder in (offline.wandb_folder, offline.data) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in copies) < 500_000 < student.files["student.safetensors"].stat().st_size


def test_compressing_a_student_makes_a_record_of_its_own(composed: Composer, offline: OfflineRun) -> None:
    start = f"student.checkpoint={offline.folder / 'student.json'}"
    cfg = composed("logger=wandb", "stage=compress", "compress=int8_static", start)
    run(cfg)
    (folder,) = Path(cfg.run_dir).glob("wandb/offline-run-*")
    record = read_record(folder)
    assert record.run["job_type"] == "compress" and record.run["run_id"] != offline.record.run["run_id"]
    int8 = record.artefacts[f"int8-{record.run['run_id']}"]
    assert int8.metadata["parents"]["student"] == load_network(offline.folder / "student.json").sha256
    assert record.summary["shipped/mIoU"] == pytest.approx(offline.record.summary["shipped/mIoU"])


def test_recorded_digests_match_the_files(offline: OfflineRun) -> None:
    """W&B compares digests at upload and refuses a file that changed after it was logged."""
    (recorded,) = offline.wandb_folder.glob("run-*.wandb")
    model = offline.folder / "artefacts" / "int8" / "model.onnx"
    assert base64.b64encode(hashlib.md5(model.read_bytes()).digest()) in recorded.read_bytes()
