"""Teachers of features from this project, timm and transformers, and networks that cannot teach."""

import json
import socket
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor, nn
from transformers import ConvNextConfig, ConvNextForImageClassification, Dinov2Backbone, Dinov2Config, ViTConfig

from m2fp_kd.models import feature_teacher
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.feature_teacher import FeatureTeacher, build_feature_teacher
from m2fp_kd.models.normalise import IMAGE_MEAN, IMAGE_STD

IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()


def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (IMAGES - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def timm_file(name: str, folder: Path) -> Path:
    torch.manual_seed(4)
    torch.save(timm.create_model(name).state_dict(), folder / f"{name}.pth")
    return folder / f"{name}.pth"


def test_one_of_our_backbones_gives_its_features(tmp_path: Path) -> None:
    weights = str(timm_file("resnet18", tmp_path))
    teacher = build_feature_teacher("resnet18", weights, 64)
    with torch.no_grad():
        expected = build_backbone("resnet18", weights=weights).eval()(normalised(IMAGE_MEAN, IMAGE_STD))[1:]
    assert teacher.channels == (128, 256, 512)
    for features, other in zip(teacher(IMAGES), expected, strict=True):
        torch.testing.assert_close(features, other)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_mambaout"])
def test_a_timm_model_gives_the_features_of_its_own_normalisation(name: str, tmp_path: Path) -> None:
    weights = timm_file(name, tmp_path)
    teacher = build_feature_teacher(f"timm:{name}", str(weights), 64)
    local = {"pretrained_cfg_overlay": {"file": str(weights)}}
    model = timm.create_model(name, pretrained=True, features_only=True, **local).eval()
    mean, std = (tuple(255 * value for value in model.default_cfg[key]) for key in ("mean", "std"))
    with torch.no_grad():
        expected = model(normalised(mean, std))[-3:]
    if name == "test_mambaout":  # (B, h, w, C)
        expected = [features.movedim(-1, 1) for features in expected]
    assert teacher.channels == tuple(features.shape[1] for features in expected)
    for features, other in zip(teacher(IMAGES), expected, strict=True):
        torch.testing.assert_close(features, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "statistics",
    [
        {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]},
        {"image_mean": 127.5, "image_std": 63.75, "do_rescale": False},
    ],
)
def test_a_folder_of_transformers_gives_the_features_of_its_own_normalisation(tmp_path: Path, statistics: dict) -> None:
    torch.manual_seed(4)
    model = ConvNextForImageClassification(ConvNextConfig(hidden_sizes=[8, 8, 16, 24], depths=[1, 1, 1, 1])).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(statistics))
    with torch.no_grad():
        states = model(normalised((127.5,) * 3, (63.75,) * 3), output_hidden_states=True).hidden_states
    for name in (str(tmp_path), f"transformers:{tmp_path}"):
        teacher = build_feature_teacher(name, None, 64)
        assert teacher.channels == (8, 16, 24)
        for features, other in zip(teacher(IMAGES), states[-3:], strict=True):
            # Its backbone normalises the channels of every stage.
            expected = nn.functional.layer_norm(other.movedim(1, -1), other.shape[1:2], eps=1e-6).movedim(-1, 1)
            torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-3)


def test_the_normalisation_of_a_model_on_the_hub_is_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file: str(tmp_path / name / file))
    assert feature_teacher.image_settings("some/model") == tmp_path / "some" / "model" / "preprocessor_config.json"

    def without(name: str, file: str) -> str:
        raise EntryNotFoundError("404")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", without)
    assert not feature_teacher.image_settings("some/model").exists()


def test_the_teacher_is_frozen(tmp_path: Path) -> None:
    teacher = build_feature_teacher("resnet18", str(timm_file("resnet18", tmp_path)), 64)
    before = {name: value.clone() for name, value in teacher.network.state_dict().items()}
    features = teacher(IMAGES)
    assert not isinstance(teacher, nn.Module) and not any(level.requires_grad for level in features)
    assert all(torch.equal(value, before[name]) for name, value in teacher.network.state_dict().items())


# ---- networks that cannot teach


class _Levels(nn.Module):
    def __init__(self, *strides: int) -> None:
        super().__init__()
        self.strides = strides

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images[..., ::stride, ::stride] * stride for stride in self.strides]


def test_the_deepest_features_of_each_stride_are_chosen() -> None:
    class Twice(_Levels):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [level * (index + 1) for index, level in enumerate(super().forward(images))]

    teacher = FeatureTeacher("twice", Twice(4, 8, 8, 16, 32), 64)
    assert torch.equal(teacher(IMAGES)[0], IMAGES[..., ::8, ::8] * 8 * 3)


@pytest.mark.parametrize(
    ("strides", "missing"), [((4, 8, 16), "none at 32"), ((16,), "none at 8 and 32"), ((4, 8, 32), "none at 16")]
)
def test_a_network_without_a_stride_is_refused(strides: tuple[int, ...], missing: str) -> None:
    given = ", ".join(map(str, strides))
    with pytest.raises(ValueError, match=rf"teacher=flat gives features at strides {given}, {missing}.*lite2"):
        FeatureTeacher("flat", _Levels(*strides), 64)


def test_a_vit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"timm:test_vit gives features at strides 16, .*a plain ViT has one stride"):
        build_feature_teacher("timm:test_vit", str(timm_file("test_vit", tmp_path)), 160)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=56)
    Dinov2Backbone(config).save_pretrained(tmp_path / "dino")
    with pytest.raises(ValueError, match=r"none at 8 and 16 and 32"):
        build_feature_teacher(str(tmp_path / "dino"), None, 56)


def test_a_model_of_one_image_size_is_refused_at_another() -> None:
    class FixedSize(_Levels):
        def forward(self, images: Tensor) -> list[Tensor]:
            assert images.shape[-1] == 224, "input height does not match"
            return super().forward(images)

    assert FeatureTeacher("fixed", FixedSize(8, 16, 32), 224).channels == (3, 3, 3)
    with pytest.raises(ValueError, match=r"does not accept images of 64x64 pixels: input height.*data\.size"):
        FeatureTeacher("fixed", FixedSize(8, 16, 32), 64)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg", r"pretrain\.teacher=vgg is unknown; choose one of mobilenetv3.*timm:NAME"),
        ("timm:resnet18000", r"timm has no model resnet18000; it has resne"),
        ("timm:zzz", r"timm has no model zzz$"),
    ],
)
def test_an_unknown_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_feature_teacher(name, None, 64)


@pytest.mark.parametrize("name", ["timm:test_efficientnet", "efficientnet_lite0"])
def test_weights_of_another_network_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"do not fit pretrain\.teacher=timm:|not the weights of this backbone"):
        build_feature_teacher(name, str(timm_file("test_resnet", tmp_path)), 64)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"pretrain\.teacher_weights=gone\.pth does not exist"):
        build_feature_teacher("resnet18", "gone.pth", 64)
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        build_feature_teacher(str(tmp_path), None, 64)


def test_a_folder_that_is_no_backbone_is_refused(tmp_path: Path) -> None:
    ViTConfig().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "bert"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"is a bert, for which transformers has no backbone"):
        build_feature_teacher(str(tmp_path), None, 64)
    weights = timm_file("test_resnet", tmp_path)
    with pytest.raises(ValueError, match=r"has its own weights; remove pretrain\.teacher_weights"):
        build_feature_teacher(str(tmp_path), str(weights), 64)


@pytest.mark.parametrize("name", ["resnet18", "timm:test_resnet.r160_in1k", "transformers:microsoft/resnet-18"])
def test_without_a_network_the_message_gives_the_right_option(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is blocked")

    for function in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, function, refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=rf"pretrain\.teacher={name}: .*pretrain\.teacher_weights=FILE") as error:
        build_feature_teacher(name, None, 64)
    assert "backbone.weights" not in str(error.value) and time.monotonic() - start < 15
