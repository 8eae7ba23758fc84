"""`stage=pretrain` from photos to a backbone file that training starts from."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.distill.training.feature_pretraining import FeaturePretraining
from m2fp_kd.models.backbone_weights import backbone_card, saved_tensors
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import Composer


@pytest.fixture(scope="module")
def teacher_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained ResNet-18, which stands in for one that knows ImageNet."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    return save_backbone(path, build_backbone("resnet18"), {"backbone": "resnet18"})


@pytest.fixture
def pretraining(composed: Composer, scenes: Path, teacher_weights: Path) -> Composer:
    """Compose a pretraining on the six training scenes, with further overrides."""

    def compose(*overrides: str) -> DictConfig:
        settings = ["stage=pretrain", "pretrain.teacher=resnet18", f"pretrain.teacher_weights={teacher_weights}"]
        photos = ["data.root=null", f"data.unlabelled=[{scenes}/Training/Images,{scenes}/Validation/Images]"]
        return composed(*settings, *photos, *overrides)

    return compose


def test_training_starts_from_the_pretrained_backbone(
    pretraining: Composer, composed: Composer, tmp_path: Path
) -> None:
    scores = run(pretraining())
    assert scores["val/correlation"] > -1 and scores["train/loss"] < 6
    file = tmp_path / "run" / "backbone.safetensors"
    card = backbone_card(str(file))
    assert card and card["backbone"] == "mobilenetv3_small" and card["teacher"] == "resnet18"
    assert card["correlation"] == f"{scores['val/correlation']:.4f}"
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in best)
    student = instantiate(composed(f"backbone.weights={file}").student.network)
    for name, tensor in saved_tensors(student.backbone).items():
        assert torch.equal(tensor, best[f"student.{name}"].half().float()), name


def test_a_killed_pretraining_resumes_to_the_same_weights(
    pretraining: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pretraining(f"run_dir={tmp_path}/whole"))
    step = FeaturePretraining.training_step

    def killed(self: FeaturePretraining, batch: dict, batch_index: int) -> torch.Tensor:
        if self.global_step == 3:
            raise KeyboardInterrupt
        return step(self, batch, batch_index)

    monkeypatch.setattr(FeaturePretraining, "training_step", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(pretraining())
    assert not (tmp_path / "run" / "backbone.safetensors").exists()
    monkeypatch.undo()
    run(pretraining())
    whole, resumed = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "run")
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
