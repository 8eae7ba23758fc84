"""Compression recipes in whole runs: results of each step, their order, and what later runs do with them."""

from pathlib import Path
from unittest.mock import ANY

import pytest
import torch

from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.compress.steps import OrderError
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import load_card, load_checks
from m2fp_kd.runtime.provenance import TeacherCard
from tests.handed_on import named_folders
from tests.pipeline.conftest import Composer


def test_an_m2fp_is_exported_and_quantised_like_a_student(composed: Composer, teacher_file: Path) -> None:
    cfg = composed("stage=compress", "compress=int8_static", f"student.checkpoint={teacher_file}")
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert list(report.models) == ["student_fp32", "student_int8"]
    card = load_card(Path(cfg.run_dir) / "artefacts" / "int8" / "model.onnx")
    assert card.head == "m2fp" and card.teacher == TeacherCard("tiny", "Apache-2.0", ANY)


def test_a_pruned_student_is_fine_tuned_checked_and_reloaded(composed: Composer) -> None:
    cfg = composed(
        "compress=prune40_int8", "compress.gates.prune.min_pixel_agreement=0", "compress.gates.prune.max_miou_drop=100",
        "compress.gates.prune.max_part_drop=null", "compress.gates.qat.max_part_drop=null",
        "compress.gates.prune.max_boundary_drop=null", "compress.gates.qat.max_boundary_drop=null",
        "compress.gates.qat.min_pixel_agreement=0", "compress.gates.qat.max_miou_drop=100",
        "compress.steps.prune.reduction=0.2", "compress.steps.prune.last_epochs=1", "compress.steps.qat.epochs=1",
        "trainer.max_epochs=1",
    )  # fmt: skip
    run(cfg)
    folder = Path(cfg.run_dir)
    report = read_report(folder / "report.json")
    assert list(report.models) == ["student_original", "student_fp32", "student_int8"]
    assert [hop.hop for hop in report.parity] == [
        "PyTorch -> original", "PyTorch -> pruned", "pruned -> qat", "PyTorch -> fp32", "fp32 -> int8",
    ]  # fmt: skip
    original, fp32, int8 = (report.models[name].parameters for name in report.models)
    assert 0.7 * original < fp32 == int8 <= 0.8 * original
    pruned, trained = (load_network(folder / f"{name}.json") for name in ("pruned", "qat"))
    assert sum(weight.numel() for weight in trained.module.parameters()) == fp32
    card = load_card(folder / "artefacts" / "int8" / "model.onnx")
    assert card.parents["pruned"] == pruned.sha256 and card.parents["qat"] == trained.sha256
    checks = load_checks(folder / "artefacts" / "int8" / "model.onnx")
    assert [hop.hop for hop in checks.parity] == ["PyTorch -> pruned", "pruned -> qat", "fp32 -> int8"]

    before = (folder / "pruned.safetensors").stat().st_mtime_ns
    run(cfg)
    assert (folder / "pruned.safetensors").stat().st_mtime_ns == before, "a finished step is not repeated"

    start = f"student.checkpoint={folder / 'pruned.json'}"
    trained_on = composed(start, "trainer.max_epochs=1", f"run_dir={folder}-2")
    run(trained_on)
    again = load_network(Path(trained_on.run_dir) / "student.json")
    assert again.architecture == pruned.architecture and again.sha256 != pruned.sha256
    after = dict(again.module.named_buffers())
    means = {name: mean for name, mean in pruned.module.named_buffers() if "running_mean" in name}
    assert means and all(not torch.equal(after[name], mean) for name, mean in means.items()), "BatchNorm was trained"
    with pytest.raises(CheckpointError, match="another network than backbone=resnet18"):
        run(composed(start, "backbone=resnet18", f"run_dir={folder}-3"))


def test_steps_in_a_wrong_order_are_refused_before_training(composed: Composer) -> None:
    cfg = composed("compress/step@compress.steps=[export,int8_static,prune]")
    with pytest.raises(OrderError, match="prune,export,int8_static"):
        run(cfg)
    assert not (Path(cfg.run_dir) / "checkpoints").exists()


@pytest.mark.long
def test_quantisation_aware_training_ends_in_an_int8_file(composed: Composer) -> None:
    any_qat = ["compress.gates.qat={min_pixel_agreement:0,max_miou_drop:100,max_part_drop:null,max_boundary_drop:null}"]
    cfg = composed("compress=int8_qat", *any_qat, "compress.steps.qat.epochs=1", "trainer.max_epochs=1")
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert [hop.hop for hop in report.parity] == [
        "PyTorch -> original", "PyTorch -> qat", "PyTorch -> fp32", "fp32 -> int8",
    ]  # fmt: skip
    trained = load_network(Path(cfg.run_dir) / "qat.json").module
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in trained.modules())


@pytest.mark.long
def test_accuracy_control_runs_as_a_step(composed: Composer) -> None:
    strict = ["compress.steps.int8_accurate.max_evaluations=20", "compress.steps.int8_accurate.max_part_drop=0"]
    cfg = composed("compress=int8_accurate", "trainer.max_epochs=1", *strict)
    run(cfg)
    models = read_report(Path(cfg.run_dir) / "report.json").models
    layers = load_card(Path(cfg.run_dir) / "artefacts" / "int8" / "model.onnx").float_layers
    assert models["student_int8"].note == (f"left in fp32: {', '.join(layers)}" if layers else None)


@pytest.mark.usefixtures("measured")
def test_every_export_format_is_a_step(composed: Composer) -> None:
    steps = ["export", "torchscript", "int8_static", "int8_fx", "openvino_int8"]
    any_quantise = [
        "compress.gates.quantise={min_pixel_agreement:0,max_miou_drop:100,max_part_drop:null,max_boundary_drop:null}"
    ]
    cfg = composed(f"compress/step@compress.steps=[{','.join(steps)}]", *any_quantise, "trainer.max_epochs=1")
    run(cfg)
    models = read_report(Path(cfg.run_dir) / "report.json").models
    engines = {name.removeprefix("student_"): model.engine for name, model in models.items()}
    assert engines == {
        "fp32": "openvino", "torchscript": "torchscript", "int8": "openvino", "int8_fx": "torchscript",
        "openvino_int8": "openvino",
    }  # fmt: skip
    assert all(model.miou is not None and model.p50_ms > 0 for model in models.values())
    assert not named_folders(Path(cfg.run_dir))
