"""Training steps of compression: reuse of finished steps, and refused settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, Network, load_network, save_network
from m2fp_kd.compress.chain import CompressionResult
from m2fp_kd.compress.options import CheckSettings, Gate, OptionError
from m2fp_kd.compress.steps import OrderError
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.assemble.fine_tune import FineTuner
from m2fp_kd.pipeline.assemble.student import require_network
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.pipeline.stages.shrink import CompressionRecipe, _trained, compress, read_recipe
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage, TeacherCard
from tests.pipeline.conftest import Composer

LABELS = LABEL_SETS["cihp"]
M2FP_STUDENT = {
    "_target_": "m2fp_kd.models.m2fp_student.M2FPStudent",
    "backbone": {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": "mobilenetv3_small"},
    "num_parts": LABELS.num_parts, "has_human": True, "width": 32, "queries": 8, "layers": 1,
}  # fmt: skip


@dataclass(frozen=True)
class _Fill:
    """Stand-in for pruning: fill every weight with a number, and save a state as fine-tuning does."""

    value: float
    folder: Path
    kind: ClassVar[str] = "prune"
    name: str = "pruned"

    def __call__(self, student: nn.Module, architecture: dict[str, Any], tuner: None) -> tuple[nn.Module, dict, float]:
        state = self.folder / self.name / "1" / "state"
        value = float(state.read_text()) if state.is_file() else self.value
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(str(value))
        for weight in student.parameters():
            nn.init.constant_(weight, value)
        return student, architecture, value


def saved_student(path: Path) -> Network:
    network = instantiate(M2FP_STUDENT)
    return load_network(save_network(path, network, LABELS, Geometry(64), M2FP_STUDENT, Lineage(val_miou=0.25)))


def test_a_finished_step_is_reused_until_its_results_are_discarded(tmp_path: Path) -> None:
    network = saved_student(tmp_path / "student")
    first = _trained(tmp_path, _Fill(0.5, tmp_path), network, None)
    assert first.lineage.val_miou == 0.5 and first.lineage.training_steps == ("pruned",)
    assert first.lineage.parameters == sum(weight.numel() for weight in network.module.parameters())
    assert _trained(tmp_path, _Fill(0.75, tmp_path), network, None).sha256 == first.sha256
    (tmp_path / "pruned.json").unlink()  # interrupted: its fine-tuning is resumed
    assert _trained(tmp_path, _Fill(0.75, tmp_path), network, None).sha256 == first.sha256
    CompressionRecipe([_Fill(0.75, tmp_path)], [], CheckSettings({})).discard_results(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"student.json", "student.safetensors"}
    assert _trained(tmp_path, _Fill(0.75, tmp_path), network, None).lineage.val_miou == 0.75


def test_every_training_step_is_compared_with_the_one_before_it(
    composed: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[str] = []
    monkeypatch.setattr("m2fp_kd.pipeline.stages.shrink.gate_photos", lambda *_: ([], "the labels"))
    monkeypatch.setattr("m2fp_kd.pipeline.stages.shrink.make_artefacts", lambda *_: CompressionResult({}, []))
    monkeypatch.setattr("m2fp_kd.pipeline.stages.shrink.compare", lambda hop, *_: hops.append(hop))
    cfg = composed(f"run_dir={tmp_path}")
    steps = [_Fill(0.5, tmp_path, name) for name in ("first", "second", "third")]
    recipe = CompressionRecipe(steps, [], CheckSettings({"prune": Gate(0.0, 100.0)}))
    teacher = Teacher(None, TeacherCard())
    _, last = compress(cfg, recipe, instantiate(cfg.data.module), teacher, saved_student(tmp_path / "student"))
    assert hops == ["PyTorch -> first", "first -> second", "second -> third"]
    assert last.lineage.training_steps == ("first", "second", "third")


PRUNED = ["pruned.json", "pruned.safetensors", "pruned/1/state"]


def test_what_was_made_of_an_earlier_student_is_discarded(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(composed().run_dir)
    found = []

    def compressed(*_: object) -> None:
        found.append([file for file in PRUNED if (folder / file).exists()])
        raise RuntimeError("stopped")

    def called(*overrides: str) -> list[str]:
        """Return what a compression finds of an earlier one."""
        for file in PRUNED:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        with pytest.raises(RuntimeError, match="stopped"):
            run(composed("compress=prune", "compress.steps.prune.reduction=0.2", "trainer.max_epochs=1", *overrides))
        return found.pop()

    for stage in ("train", "compress"):
        monkeypatch.setattr(f"m2fp_kd.pipeline.stages.{stage}.compress", compressed)
    assert called() == [], "a training that ckpt_path=null began and this call finishes"
    assert called() == PRUNED
    saved = ["stage=compress", f"student.checkpoint={folder / 'student.json'}"]
    assert called(*saved, "ckpt_path=null") == []
    assert called(*saved) == PRUNED


@pytest.mark.parametrize(
    ("compress", "override"),
    [("prune", "prune.name=student"), ("int8_qat", "qat.name=artefacts"), ("prune", "export.name=original")],
)
def test_no_step_takes_the_name_of_another_file_of_the_run(compress: str, override: str, composed: Composer) -> None:
    with pytest.raises(OptionError, match=rf"^compress\.steps\.{override} must be another name: this one is taken$"):
        read_recipe(composed(f"compress={compress}", f"+compress.steps.{override}"))
    read_recipe(composed("compress=none", "+compress.steps.export.name=original"))


def test_fine_tuning_a_student_with_another_students_losses_is_an_error_before_a_cache_is_filled(
    composed: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("m2fp_kd.pipeline.stages.compress.load_teacher")
    saved_student(tmp_path / "student")
    cfg = composed("stage=compress", "compress=prune", f"student.checkpoint={tmp_path / 'student.json'}")
    with pytest.raises(CheckpointError, match="another network than backbone=mobilenetv3_small student=fpn; choose"):
        run(cfg)


def test_a_student_without_queries_is_another_network_than_one_with_the_teachers_head(composed: Composer) -> None:
    fpn = OmegaConf.to_container(composed().student.network, resolve=True)
    cfg = composed("student=m2fp", "student.head_from_teacher=true", "student.network.width=null")
    with pytest.raises(CheckpointError, match="another network than backbone=mobilenetv3_small student=m2fp; choose"):
        require_network(cfg, fpn)


def test_fine_tuning_has_its_own_length_and_updates_the_statistics_of_batch_norms(composed: Composer) -> None:
    limits = ["trainer.check_val_every_n_epoch=2", "+trainer.max_steps=1", "+trainer.max_time=00:00:00:00"]
    cfg = composed("student=m2fp", "student.network.width=16", *limits)
    student = instantiate(cfg.student.network).eval()  # as after saving and loading
    before = {name: value.clone() for name, value in student.named_buffers() if "running_mean" in name}
    tuner = FineTuner(cfg, instantiate(cfg.data.module), Teacher(None, TeacherCard()))
    tuner(student, "pruned/1", epochs=1, lr_scale=1.0)
    after = dict(student.named_buffers())
    assert before and all(not torch.equal(after[name], value) for name, value in before.items())
    assert not student.training


@pytest.mark.parametrize("recipe", ["prune", "int8_qat"])
@pytest.mark.parametrize("several", ["+trainer.strategy=ddp", "trainer.devices=2"])
def test_training_steps_run_on_one_device(composed: Composer, recipe: str, several: str) -> None:
    cfg = composed(f"compress={recipe}", several)
    with pytest.raises(OrderError, match=r"run on one device: train with compress=none, then stage=compress"):
        run(cfg)
    assert not (Path(cfg.run_dir) / "checkpoints").exists()


def test_one_process_alone_compresses_a_finished_student(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = composed()
    Path(cfg.run_dir).mkdir()
    (Path(cfg.run_dir) / "student.json").touch()
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert run(cfg) == {}
    assert [path.name for path in Path(cfg.run_dir).iterdir()] == ["student.json"]


def test_an_impossible_step_is_refused_before_training(composed: Composer) -> None:
    cfg = composed("compress=int8_dynamic")
    with pytest.raises(ValueError, match="int8_dynamic is for m2fp or teacher networks"):
        run(cfg)
    assert not (Path(cfg.run_dir) / "checkpoints").exists()


def test_a_trained_student_is_saved_before_its_artefacts_can_fail(composed: Composer, monkeypatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("no space left")

    monkeypatch.setattr("m2fp_kd.pipeline.stages.shrink.make_artefacts", broken)
    cfg = composed("trainer.max_epochs=1")
    with pytest.raises(RuntimeError, match="no space left"):
        run(cfg)
    assert load_network(Path(cfg.run_dir) / "student.json").lineage.val_miou >= 0


@pytest.mark.parametrize(
    ("compress", "override", "allowed"),
    [
        ("prune", "steps.prune.quantity=foo", "must be 'parameters', 'macs' or 'milliseconds'"),
        ("prune", "steps.prune.importance=foo", "must be 'l1', 'bn_scale' or 'taylor'"),
        ("prune", "steps.prune.reduction=1.5", "must be less than 1"),
        ("prune", "steps.prune.most=0", "must be greater than 0"),
        ("prune", "steps.prune.engine=tensorrt", "must be 'openvino' or 'onnxruntime'"),
        ("prune", "steps.prune.last_epochs=0", "must be greater than or equal to 1"),
        ("prune", "steps.prune.latency_table=FILE", "for quantity=milliseconds, not parameters"),
        ("int8_qat", "steps.qat.epochs=0", "must be greater than or equal to 1"),
        ("int8_qat", "steps.qat.epochs=true", "must be a valid integer"),
        ("int8_qat", "steps.qat.lr_scale=-1", "must be greater than 0"),
        ("int8_static", "steps.int8_static.calibration_photos=0", "must be greater than or equal to 1"),
        ("int8_static", "+steps.int8_static.name=a/b", "must match pattern"),
        ("int8_static", "+steps.int8_static.photos=3", "Unexpected keyword argument"),
        ("int8_accurate", "steps.int8_accurate.max_part_drop=-1", "must be greater than or equal to 0"),
        ("int8_accurate", "steps.int8_accurate.parts=[]", "at least 1 item"),
        ("none", "threads=0", "must be greater than or equal to 1"),
        ("none", "precision=bf16", "must be 'f32' or 'auto'"),
        ("none", "gates.export.min_pixel_agreement=97", "must be less than or equal to 1"),
        ("none", "gates.export.max_miou_drop=none", "must be a valid number"),
        ("none", "+gates.exprot={min_pixel_agreement:0.9,max_miou_drop:1}", "compress.gates.exprot is no gate"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_with_what_is_allowed(
    compress: str, override: str, allowed: str, composed: Composer
) -> None:
    plus, option = ("+", override[1:]) if override.startswith("+") else ("", override)
    with pytest.raises(ValueError) as refused:
        read_recipe(composed(f"compress={compress}", f"{plus}compress.{option}"))
    message = str(refused.value)
    assert allowed in message and "\n" not in message
    assert message.startswith(f"compress.{option.partition('=')[0].rpartition('.')[0]}".removesuffix("."))


@pytest.mark.parametrize(
    ("compress", "override", "reason"),
    [
        (
            "int8_accurate",
            "compress.steps.int8_accurate.parts=[nose]",
            "'cihp' has no nose; choose among background, h",
        ),
        ("prune", "compress.steps.prune.reduction=0.99", "choose a smaller reduction"),
    ],
)
def test_what_a_network_cannot_do_is_refused_before_training(
    compress: str, override: str, reason: str, composed: Composer
) -> None:
    cfg = composed(f"compress={compress}", override)
    with pytest.raises(ValueError, match=reason):
        run(cfg)
    assert not (Path(cfg.run_dir) / "checkpoints").exists()
