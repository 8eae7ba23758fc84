"""Whole runs on tiny scenes: results, reuse, and failures."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.compress.parity import ParityError
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.distill.training.saved_state import resume_from
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.pipeline import run
from m2fp_kd.runtime.artefact import load_checks
from m2fp_kd.runtime.checks import TEACHER, Score
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.provenance import TeacherCard
from tests.distill.tiny import TINY
from tests.handed_on import named_folders
from tests.pipeline.conftest import Composer, compose_small


def _weights(folder: Path) -> Path:
    """Save random weights for the runs' backbone."""
    return save_backbone(folder / "weights.safetensors", build_backbone("mobilenetv3_small"), {})


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run, which no test changes."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(compose_small(scenes, folder))
    return folder


@pytest.fixture
def own_copy(finished: Path, tmp_path: Path) -> None:
    """Copy the finished run into the test's own run folder."""
    shutil.copytree(finished, tmp_path / "run")


def test_a_distilled_run_writes_checked_artefacts_and_a_report(
    composed: Composer, teacher_file: Path, tmp_path: Path
) -> None:
    cache = teacher_file.parent / "cache"
    cfg = composed(
        "teacher=cached", f"teacher.checkpoint={teacher_file}", f"teacher.cache={cache}", "distill=classic",
        "data.licence=research use", f"backbone.weights={_weights(tmp_path)}", "compress=int8_static",
    )  # fmt: skip
    metrics = run(cfg)
    folder = Path(cfg.run_dir)
    assert not named_folders(folder, teacher_file.parent, Path(cfg.data.root), tmp_path)
    lineage = load_network(folder / "student.json").lineage
    assert (lineage.backbone_weights, lineage.backbone_weights_sha256) == (
        "weights.safetensors", file_sha256(tmp_path / "weights.safetensors"),
    )  # fmt: skip
    report = read_report(folder / "report.json")
    assert list(report.models) == ["teacher", "student_fp32", "student_int8"]
    assert metrics["student_int8/mIoU"] == report.models["student_int8"].miou
    assert [sum(model.reliability.counts) for model in report.models.values()] == [2 * 16 * 16] * 3
    assert [hop.hop for hop in report.parity] == ["PyTorch -> fp32", "fp32 -> int8"]
    assert report.parity[0].pixel_agreement >= 0.999
    assert report.lineage.teacher.name == "tiny"
    assert {"train/kl", "train/ce", "val/mIoU"} <= set(report.curves)
    card = Parser.load(folder / "artefacts" / "int8").card
    assert card.teacher.licence == "Apache-2.0; research use" and card.precision == "int8"
    score = load_checks(folder / "artefacts" / "int8" / "model.onnx").score
    borders = report.models["student_int8"].boundary
    assert score == Score(
        f"{cfg.data.name}, validation photos", 2, metrics["student_int8/mIoU"], borders.iou, borders.f
    )
    assert "http" not in (folder / "report.html").read_text().split("<body")[0].replace("http://www.w3.org", "")

    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(name.startswith(("student.", "objective.", "confusion.")) for name in state)


def test_the_reported_miou_equals_that_of_training(finished: Path) -> None:
    """Compare Lightning's validation with the evaluation of the exported file."""
    report = read_report(finished / "report.json")
    best = max(value for _, value in report.curves["val/mIoU"])
    assert report.models["student_fp32"].miou == pytest.approx(best, abs=0.001)


def test_a_run_needs_only_unlabelled_photos_and_a_teacher(composed: Composer, teacher_file: Path, scenes: Path) -> None:
    photos = scenes / "Training" / "Images"
    cfg = composed(
        "data=photos", f"data.root={photos}", "teacher=cached", f"teacher.checkpoint={teacher_file}",
        f"teacher.cache={teacher_file.parent / 'photos'}", "distill=classic", "trainer.max_epochs=1",
    )  # fmt: skip
    run(cfg)
    report = read_report(Path(cfg.run_dir) / "report.json")
    assert report.data.scored_on.startswith("the teacher's part maps")
    assert report.models["teacher"].miou == 1
    assert "its own part maps" in str(report.models["teacher"].note)
    (hop,) = report.parity
    assert hop.truth == TEACHER and hop.miou_after == pytest.approx(report.models["student_fp32"].miou)


def test_a_finished_student_is_reused(composed: Composer) -> None:
    cfg = composed("trainer.max_epochs=1", "ema=0.9")
    first = run(cfg)
    written = (Path(cfg.run_dir) / "student.safetensors").stat().st_mtime_ns
    assert run(cfg) == first
    assert (Path(cfg.run_dir) / "student.safetensors").stat().st_mtime_ns == written


def test_a_failed_gate_fails_the_run_after_everything_is_saved(composed: Composer) -> None:
    cfg = composed("trainer.max_epochs=1", "compress=int8_static", "compress.gates.quantise.min_pixel_agreement=1.0")
    with pytest.raises(ParityError, match=r"fp32 -> int8.*pixels agree"):
        run(cfg)
    folder = Path(cfg.run_dir)
    assert read_report(folder / "report.json").parity[1].passed is False
    assert (folder / "artefacts" / "int8" / "model.onnx").is_file() and load_network(folder / "student.json")


def test_a_killed_run_resumes_to_the_same_weights(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = composed("run_dir=" + str(Path(composed().run_dir).with_name("whole")))
    run(whole)

    broken = composed()
    step = Distillation.training_step

    def interrupted(module: Distillation, *batch: object) -> torch.Tensor:
        if module.global_step == 4:
            raise MemoryError("killed")
        return step(module, *batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Distillation, "training_step", interrupted)
    with pytest.raises(MemoryError):
        run(broken)
    monkeypatch.undo()
    assert (Path(broken.run_dir) / "checkpoints" / "interrupted.ckpt").is_file()
    run(broken)

    expected, got = (load_network(Path(cfg.run_dir) / "student.json").module.state_dict() for cfg in (whole, broken))
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_an_m2fp_student_separates_persons_after_export(composed: Composer, scenes: Path) -> None:
    cfg = composed("student=m2fp", "student.network.queries=8", "student.network.layers=1", "trainer.max_epochs=1")
    run(cfg)
    parser = Parser.load(Path(cfg.run_dir) / "artefacts" / "fp32")
    parsing = parser(sorted((scenes / "Validation" / "Images").iterdir())[0])
    assert parsing.people_kind == "persons" and parsing.part_map.shape == (64, 64)
    models = read_report(Path(cfg.run_dir) / "report.json").models
    assert models["student_fp32"].instances.keys() >= {"APp50", "APvol", "PCP50", "APr50", "APr"}
    assert models["student_fp32"].note is None


def test_without_person_ids_the_report_explains_that_persons_are_not_scored(
    composed: Composer, scenes: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(scenes, tmp_path / "without_ids")
    shutil.rmtree(root / "Validation" / "Human_ids")
    run(composed(f"data.root={root}", "student=m2fp", "student.network.queries=8", "student.network.layers=1",
                 "trainer.max_epochs=1"))  # fmt: skip
    (model,) = read_report(tmp_path / "run" / "report.json").models.values()
    assert model.instances == {}
    assert model.note == "persons are not scored, because the photos have no person ids"


def test_a_saved_student_can_be_compressed_again(composed: Composer, finished: Path) -> None:
    scores = run(composed("stage=compress", f"student.checkpoint={finished / 'student.json'}"))
    assert scores["student_fp32/mIoU"] == read_report(finished / "report.json").models["student_fp32"].miou


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Record compiled networks; compile with the eager backend, which needs no compiler and little time."""
    seen: list[nn.Module] = []
    original = nn.Module.compile

    def traced(network: nn.Module) -> None:
        seen.append(network)
        original(network, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    return seen


def test_a_teacher_trains_from_scratch_and_then_teaches_a_student(
    composed: Composer, compiled: list[nn.Module]
) -> None:
    """Train both networks compiled; the saved files are the same as without."""
    small = [f"teacher.network.{name}={value}" for name, value in TINY.items() if name != "heads"]
    cfg = composed(
        "stage=teacher", "backbone@teacher.backbone=resnet18", "trainer.max_epochs=1", "compile=true", *small
    )
    assert np.isfinite(run(cfg)["val/mIoU"])
    saved = json.loads((Path(cfg.run_dir) / "teacher.json").read_text())
    assert saved["architecture"]["num_classes"] == 21

    live = composed(
        "teacher=live", f"teacher.checkpoint={Path(cfg.run_dir) / 'teacher.json'}", "distill=classic",
        "trainer.max_epochs=1", f"run_dir={cfg.run_dir}-student", "compile=true",
    )  # fmt: skip
    assert "teacher/mIoU" in run(live)
    assert [type(network) for network in compiled] == [M2FP, FPNStudent]


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["stage=fly"], ValueError, "stage=fly must be one of train, teacher, cache, compress"),
        (["stage=compress"], ValueError, "student.checkpoint=PATH"),
        (["stage=cache"], ValueError, "teacher=cached teacher.checkpoint=FILE"),
        (["distill=classic"], ValueError, "teacher=live"),
        (["teacher=live", "teacher.checkpoint=gone.pt"], FileNotFoundError, "gone.pt: no such file"),
        (["teacher=sample", "teacher.cache=nowhere"], ValueError, "teacher.cache=nowhere is none"),
        (["ckpt_path=gone.ckpt"], FileNotFoundError, "gone.ckpt: no such file"),
        (["student.checkpoint=gone.json"], FileNotFoundError, "gone.json: no such file"),
    ],
)
def test_wrong_settings_raise_early(
    composed: Composer, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(composed(*overrides))


def test_a_teacher_of_another_label_set_is_refused(composed: Composer, teacher_file: Path) -> None:
    with pytest.raises(CheckpointError, match="has the 20 parts of 'cihp'"):
        run(composed("teacher=live", f"teacher.checkpoint={teacher_file}", "data.labels=lip"))


def test_resuming_without_a_saved_state_starts_from_scratch(tmp_path: Path) -> None:
    assert resume_from("last", tmp_path) is None
    (tmp_path / "last.ckpt").touch()
    assert resume_from("last", tmp_path) == str(tmp_path / "last.ckpt")
    os.utime(tmp_path / "last.ckpt", (1, 1))
    (tmp_path / "interrupted.ckpt").touch()
    assert resume_from("last", tmp_path) == str(tmp_path / "interrupted.ckpt")
    assert resume_from(None, tmp_path) is None


@pytest.mark.usefixtures("own_copy")
def test_a_run_folder_is_resumed_only_with_its_own_settings(composed: Composer) -> None:
    with pytest.raises(ValueError, match=r"belongs to other settings \(lr: 0\.002 -> 0\.01\); choose another name"):
        run(composed("lr=0.01"))
    fresh = composed("lr=0.01", "ckpt_path=null")
    before = load_network(Path(fresh.run_dir) / "student.json").sha256
    run(fresh)
    assert load_network(Path(fresh.run_dir) / "student.json").sha256 != before


@pytest.mark.usefixtures("own_copy")
def test_a_finished_student_of_other_photos_is_not_reused(composed: Composer, scenes: Path) -> None:
    cfg = composed()
    photo = next((scenes / "Training" / "Images").iterdir())
    content = photo.read_bytes()
    try:
        Image.open(photo).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(photo)
        with pytest.raises(ValueError, match=r"belongs to another data; start over"):
            run(cfg)
    finally:
        photo.write_bytes(content)


@pytest.mark.usefixtures("measured")
def test_a_student_that_starts_from_another_inherits_its_licence(composed: Composer, teacher_file: Path) -> None:
    first = composed("teacher=live", f"teacher.checkpoint={teacher_file}", "distill=classic", "trainer.max_epochs=1")
    run(first)
    start = Path(first.run_dir) / "student.json"
    second = composed(
        f"student.checkpoint={start}", "trainer.max_epochs=1", f"run_dir={first.run_dir}-2", "compress=int8_static"
    )
    run(second)
    card = Parser.load(Path(second.run_dir) / "artefacts" / "int8").card
    assert card.teacher == TeacherCard(licence="Apache-2.0")
    assert card.parents["started from"] == load_network(start).sha256
    exported, int8 = (
        load_checks(Path(second.run_dir) / "artefacts" / name / "model.onnx") for name in ("fp32", "int8")
    )
    assert set(int8.latency) == set(exported.latency) == {"openvino", "onnxruntime"}
    for engine, latency in int8.latency.items():
        assert latency.p50_ms > 0 and latency.cpu and latency.threads == second.compress.threads
        assert latency.fp32_p50_ms == exported.latency[engine].p50_ms > 0


def test_compressing_a_student_at_another_size_is_an_error(composed: Composer, finished: Path) -> None:
    start = finished / "student.json"
    with pytest.raises(ValueError, match=r"trained at 64 pixels, not 96; add data\.size=64"):
        run(composed("stage=compress", f"student.checkpoint={start}", "data.size=96"))


@pytest.mark.parametrize("stage", ["train", "compress"])
def test_a_student_of_other_parts_than_the_datas_is_an_error(composed: Composer, finished: Path, stage: str) -> None:
    start = f"student.checkpoint={finished / 'student.json'}"
    with pytest.raises(CheckpointError, match=r"student\.json has the parts of 'cihp', the data those of 'lip'"):
        run(composed(f"stage={stage}", start, "data.labels=lip"))


def test_a_teacher_as_student_checkpoint_is_an_error(composed: Composer, teacher_file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds a teacher; student\.checkpoint takes the student\.json"):
        run(composed(f"student.checkpoint={teacher_file}"))
