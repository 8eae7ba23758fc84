"""`stage=pretrain` from photos to a backbone file that training starts from."""

from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from safetensors.torch import load_file

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.distill.training.feature_pretraining import FeaturePretraining
from m2fp_kd.models.backbone_file import backbone_card
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.pipeline import run
from m2fp_kd.pipeline.stages.pretrain import _photos
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
    assert card["data"] == "Images, Images" and card["photos"] == "7" and "licence" not in card
    assert card["correlation"] == f"{scores['val/correlation']:.4f}"
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in best)
    student = instantiate(composed(f"backbone.weights={file}").student.network)
    for name, tensor in student.backbone.named_parameters():
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


def test_the_training_photos_of_the_data_set_and_the_folders_are_used(composed: Composer, scenes: Path) -> None:
    validation = scenes / "Validation" / "Images"
    datamodule = _photos(composed("stage=pretrain", f"data.unlabelled={validation}", f"data.root={scenes}"))
    used = {record.image for record in [*datamodule.train, *datamodule.val]}
    assert used == set((scenes / "Training" / "Images").iterdir())  # the set validates on the folder's photos
    assert all(record.categories is None for record in datamodule.train)
    drawn = _photos(composed("stage=pretrain", "data=synthetic", f"data.unlabelled=[{scenes}/Training/Images]"))
    assert {record.image for record in drawn.records} == used
    sources = [
        "data/source@data.sources=[cihp,synthetic]",
        f"data.sources.cihp.root={scenes}",
        "data.sources.cihp.splits.test=null",
    ]
    mixed = _photos(composed("stage=pretrain", "data=mix", *sources))
    assert {record.image for record in mixed.records} == used


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["data.unlabelled=null"], ValueError, r"needs photos: give data\.root=DIR or data\.unlabelled=DIR"),
        (["data.unlabelled=[]"], ValueError, r"needs photos"),
        (["data.unlabelled=[gone]"], FileNotFoundError, r"data\.unlabelled=gone: no such folder"),
        (["data.unlabelled=own"], ValueError, r"no unlabelled photos of its own"),
        (["pretrain.teacher=vgg"], ValueError, r"pretrain\.teacher=vgg is unknown; choose one of mobilenetv3"),
        (
            ["pretrain.teacher_weights=gone.pth"],
            FileNotFoundError,
            r"pretrain\.teacher_weights=gone\.pth: no such file",
        ),
        (["pretrain.teacher=resnet34"], ValueError, r"holds the backbone resnet18, which does not fit this one"),
        (["backbone.weights=m2fp_kd", "backbone=resnet34"], InstantiationException, r"not of resnet34\. Make your own"),
    ],
)
def test_bad_input_ends_before_training(
    pretraining: Composer, tmp_path: Path, overrides: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(pretraining(*overrides))
    assert {path.name for path in (tmp_path / "run").glob("*")} <= {".lock"}


def test_a_folder_without_photos_is_named(pretraining: Composer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty has no .*jpg.* file; check data\.unlabelled"):
        run(pretraining(f"data.unlabelled={tmp_path}/empty"))


def test_a_finished_pretraining_is_not_mistaken_for_another(pretraining: Composer, tmp_path: Path) -> None:
    run(pretraining("trainer.max_epochs=1"))
    file = tmp_path / "run" / "backbone.safetensors"
    before = load_file(file)
    run(pretraining("trainer.max_epochs=1"))  # it is finished, and only written again
    assert all(torch.equal(tensor.float(), before[name].float()) for name, tensor in load_file(file).items())
    with pytest.raises(ValueError, match=r"belongs to other settings \(pretrain\.augmentation\.hue"):
        run(pretraining("trainer.max_epochs=1", "pretrain.augmentation.hue=9"))
    with pytest.raises(FileNotFoundError):
        run(pretraining("ckpt_path=null", "data.unlabelled=gone", "trainer.max_epochs=1"))
    assert file.exists(), "a run that does not begin removes nothing"
