"""Files of pretrained backbones: round trip, size, and files that do not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.models import backbone_file
from m2fp_kd.models.backbone_file import FORMAT, backbone_card, load_backbone, saved_tensors
from m2fp_kd.models.backbones import Backbone, build_backbone
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.pruned import build_pruned
from m2fp_kd.runtime.files import safetensors_metadata
from tests.hostile.disk import full


@pytest.fixture(scope="module")
def trained() -> Backbone:
    """A MobileNetV3 whose BatchNorms have seen images."""
    torch.manual_seed(2)
    backbone = build_backbone("mobilenetv3").train()
    for _ in range(20):
        backbone(torch.randn(4, 3, 64, 64) * 2 + 1)
    return backbone.eval()


@pytest.fixture(scope="module")
def file(trained: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "backbone.safetensors"
    return save_backbone(path, trained, {"backbone": "mobilenetv3", "licence": "Apache-2.0"})


def test_training_starts_with_the_saved_features(trained: Backbone, file: Path) -> None:
    loaded = build_backbone("mobilenetv3", weights=str(file))
    half = build_backbone("mobilenetv3")
    state = {name: tensor.half().float() for name, tensor in saved_tensors(trained).items()}
    half.load_state_dict(state, strict=False)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(loaded.train()(images), half.train()(images), strict=True):
            assert torch.equal(ours, theirs)


def test_running_statistics_lose_little(trained: Backbone, file: Path) -> None:
    loaded = build_backbone("mobilenetv3", weights=str(file)).state_dict()
    for name, tensor in saved_tensors(trained).items():
        if name.endswith("running_var"):
            torch.testing.assert_close(loaded[name], tensor, rtol=0.13, atol=1e-5)
        elif name.endswith("running_mean"):
            torch.testing.assert_close(loaded[name], tensor, rtol=0.07, atol=1e-3)


def test_values_beyond_a_small_format_are_kept(tmp_path: Path) -> None:
    norm = nn.BatchNorm2d(2)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.tensor([1000.0, 0.5]))  # beyond 8 bits
    norm.running_var.copy_(torch.tensor([1e6, 0.5]))  # beyond 16 bits
    state = load_file(save_backbone(tmp_path / "norm.safetensors", norm, {}))
    assert state["running_mean"].tolist() == [1000.0, 0.5] and state["running_var"].tolist() == [1e6, 0.5]


def test_mobilenetv3_fits_into_six_megabytes_and_its_card_is_readable(file: Path) -> None:
    assert file.stat().st_size < 6_000_000
    card = {"format": FORMAT, "backbone": "mobilenetv3", "licence": "Apache-2.0"}
    assert backbone_card(str(file)) == safetensors_metadata(file) == card


def test_a_file_of_another_backbone_is_refused_with_names_and_shapes(file: Path) -> None:
    with pytest.raises(ValueError, match=r"holds the backbone mobilenetv3, .*missing.*misshapen: body\.\S+ \(\d+.* "):
        build_backbone("mobilenetv3_small", weights=str(file))


def test_a_narrowed_backbone_starts_from_its_own_file(tmp_path: Path) -> None:
    """A pruned backbone, for which no weights are published, is saved and loaded like any other."""

    def narrowed() -> nn.Module:
        conv = {"out_channels": 8, "in_channels": 8, "groups": 8}
        norm = {"num_features": 8}
        depthwise = "body.blocks.0.0."
        widths: dict = {
            "body.conv_stem": {"out_channels": 8, "in_channels": 3, "groups": 1}, "body.bn1": norm,
            f"{depthwise}conv_dw": conv, f"{depthwise}bn1": norm,
            f"{depthwise}conv_pw": {"out_channels": 8, "in_channels": 8, "groups": 1}, f"{depthwise}bn2": norm,
            "body.blocks.1.0.conv_pw": {"out_channels": 64, "in_channels": 8, "groups": 1},
        }  # fmt: skip
        return build_pruned(build_backbone("mobilenetv3"), widths)

    torch.manual_seed(1)
    pruned, loaded = narrowed(), narrowed()
    path = str(save_backbone(tmp_path / "pruned.safetensors", pruned, {"backbone": "narrow"}))
    load_backbone(loaded, path)
    images = Normalise()(torch.randint(0, 256, (2, 3, 64, 64)))
    with torch.no_grad():
        for ours, theirs in zip(loaded.train()(images), pruned.half().float().train()(images), strict=True):
            assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match=r"body\.conv_stem\.weight \(8, 3, 3, 3\) instead of \(16, 3, 3, 3\)"):
        build_backbone("mobilenetv3", weights=path)


def test_a_foreign_file_is_no_backbone_file(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    assert backbone_card(str(tmp_path / "other.safetensors")) is None
    with pytest.raises(ValueError, match=r"other\.safetensors was not written by stage=pretrain"):
        load_backbone(nn.Linear(1, 2), str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("break_file", [lambda data: data[:1000], lambda data: data[:-1], lambda data: b""])
def test_a_broken_file_is_named(file: Path, tmp_path: Path, break_file: Callable[[bytes], bytes]) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(break_file(file.read_bytes()))
    with pytest.raises(ValueError, match=r"broken\.safetensors is not a complete safetensors file"):
        build_backbone("mobilenetv3", weights=str(broken))


def test_a_failed_write_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(b"before")
    with full(), pytest.raises(OSError) as error:
        save_backbone(path, nn.Linear(100, 100), {})
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"before" and [found.name for found in tmp_path.iterdir()] == [path.name]


# ---- weights in the package


def test_packaged_weights_are_found_by_the_backbones_name(
    file: Path, trained: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone_file, "PACKAGED_FOLDER", file.parent)
    file.with_name("mobilenetv3.safetensors").write_bytes(file.read_bytes())
    loaded = build_backbone("mobilenetv3", weights="m2fp_kd")
    assert torch.equal(loaded.body.conv_stem.weight, trained.body.conv_stem.weight.half().float())
    with pytest.raises(
        FileNotFoundError, match=r"weights of .*mobilenetv3, not of resnet18.*stage=pretrain backbone=r"
    ):
        build_backbone("resnet18", weights="m2fp_kd")


def test_a_package_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_file, "PACKAGED_FOLDER", tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"weights of no backbone, not of mobilenetv3.*backbone\.weights=FILE"):
        build_backbone("mobilenetv3", weights="m2fp_kd")


def test_the_packages_mobilenetv3_is_small_names_its_teacher_and_is_loaded() -> None:
    path = Path(backbone_file.packaged_weights("mobilenetv3"))
    card = backbone_card(str(path))
    assert path.stat().st_size <= 6_000_000
    assert card is not None and {"teacher", "licence", "photos", "correlation"} <= card.keys()
    loaded = saved_tensors(build_backbone("mobilenetv3", weights="m2fp_kd"))
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in load_file(path).items())
