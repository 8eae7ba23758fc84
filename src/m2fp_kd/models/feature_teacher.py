"""Frozen networks whose features another backbone learns: our own backbones, timm's and those of transformers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from m2fp_kd.models.backbones import BACKBONES, build_backbone
from m2fp_kd.models.normalise import IMAGE_MEAN, IMAGE_STD, Normalise

STRIDES = (8, 16, 32)


class FeatureTeacher:
    """A frozen network that gives features at strides 8, 16 and 32.

    It is no ``nn.Module``, so that it stays outside the student's ``state_dict``, DDP and checkpoints.

    Args:
        name: name for error messages.
        network: maps RGB images 0..255 ``(B, 3, H, W)`` to a list of features ``(B, C, h, w)``.
        size: side of the images in pixels.

    Attributes:
        channels: channels of the features at each of the strides.

    Raises:
        ValueError: the network gives no features at one of the strides, or does not accept images of this size.
    """

    def __init__(self, name: str, network: nn.Module, size: int) -> None:
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        maps = _example(name, network, size)
        strides = [size / level.shape[-1] for level in maps]
        if missing := [stride for stride in STRIDES if stride not in strides]:
            raise ValueError(
                f"pretrain.teacher={name} gives features at strides {', '.join(f'{stride:g}' for stride in strides)}, "
                f"none at {' and '.join(map(str, missing))}. Choose a network that lowers its resolution step by step, "
                "such as efficientnet_lite2, resnet50 or timm:convnext_tiny; a plain ViT has one stride only"
            )
        last = {stride: index for index, stride in enumerate(strides)}  # the deepest features of a stride
        self.levels = [last[stride] for stride in STRIDES]
        self.channels = tuple(maps[index].shape[1] for index in self.levels)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the features of RGB images 0..255 ``(B, 3, H, W)`` at strides 8, 16 and 32."""
        self.network.to(images.device)
        maps = self.network(images)
        return [maps[index] for index in self.levels]


def build_feature_teacher(name: str, weights: str | None, size: int) -> FeatureTeacher:
    """Build a teacher of features.

    Args:
        name: one of our backbones, such as `efficientnet_lite2`; `timm:NAME` for any model of timm with features;
            `transformers:NAME`, or a local folder, for a backbone of transformers (one that `AutoBackbone` loads).
        weights: file of its weights; None downloads those that timm, torchvision or the hub publishes. A local folder
            has its own weights.
        size: side of the images in pixels.

    Raises:
        ValueError: the name is unknown, the weights are of another network, or the network lacks a stride.
        FileNotFoundError: the file or the folder does not exist.
        ConnectionError: the weights cannot be downloaded.
    """
    if weights and not Path(weights).is_file():
        raise FileNotFoundError(f"pretrain.teacher_weights={weights} does not exist; correct its path")
    library, _, model = name.partition(":")
    if name in BACKBONES:
        body, mean, std = _ours(name, weights)
    elif library == "timm":
        body, mean, std = _of_timm(model, weights)
    elif library == "transformers" or Path(name).is_dir():
        if weights:
            raise ValueError(f"pretrain.teacher={name} has its own weights; remove pretrain.teacher_weights")
        body, mean, std = _of_transformers(model or name)
    else:
        raise ValueError(
            f"pretrain.teacher={name} is unknown; choose one of {', '.join(BACKBONES)}, timm:NAME, transformers:NAME, "
            "or the folder of a transformers backbone"
        )
    return FeatureTeacher(name, nn.Sequential(Normalise(mean, std), body), size)


Built = tuple[nn.Module, Sequence[float], Sequence[float]]
"""A network, and mean and standard deviation per channel of the images that it expects, in 0..255."""


def _ours(name: str, weights: str | None) -> Built:
    try:
        return build_backbone(name, pretrained=weights is None, weights=weights), IMAGE_MEAN, IMAGE_STD
    except ConnectionError as error:
        raise _no_download(name, error) from error


def _of_timm(name: str, weights: str | None) -> Built:
    if not timm.is_model(name.partition(".")[0]):
        similar = timm.list_models(f"{name.partition('.')[0][:6]}*")[:5]
        raise ValueError(f"timm has no model {name}; similar names: {', '.join(similar) or 'none'}")
    local: dict[str, Any] = {"pretrained_cfg_overlay": {"file": weights}} if weights else {}
    try:
        body = timm.create_model(name, pretrained=True, features_only=True, **local)
    except OSError as error:
        raise _no_download(f"timm:{name}", error) from error
    except (
        RuntimeError,
        AttributeError,
    ) as error:  # timm's for weights that do not fit, and for models without features
        raise ValueError(f"pretrain.teacher=timm:{name} cannot be built: {error}") from error
    expected = resolve_model_data_config(body)
    mean, std = ([255 * value for value in expected[key]] for key in ("mean", "std"))
    return _ChannelsFirst(body) if _is_channels_last(body) else body, mean, std


def _of_transformers(name: str) -> Built:
    try:
        from transformers import AutoBackbone, AutoConfig
    except ImportError as error:
        raise ValueError(f"pretrain.teacher={name} needs transformers: pip install transformers") from error
    try:
        stages = AutoConfig.from_pretrained(name).stage_names
        body = AutoBackbone.from_pretrained(name, out_features=stages)
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"pretrain.teacher={name} is no backbone that transformers' AutoBackbone loads: {error}"
        ) from error
    mean, std = _image_statistics(Path(name) / "preprocessor_config.json")
    return _FeatureMaps(body), mean, std


def _image_statistics(file: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation of a transformers model; ImageNet's if its folder does not give them."""
    settings = json.loads(file.read_text()) if file.is_file() else {}
    mean, std = settings.get("image_mean"), settings.get("image_std")
    return (
        ([255 * value for value in mean], [255 * value for value in std]) if mean and std else (IMAGE_MEAN, IMAGE_STD)
    )


class _FeatureMaps(nn.Module):
    """A transformers backbone whose output is the list of its feature maps."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.backbone(images).feature_maps)


class _ChannelsFirst(nn.Module):
    """A timm network with features ``(B, h, w, C)``, such as Swin, that gives ``(B, C, h, w)``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> list[Tensor]:
        return [features.movedim(-1, 1) for features in self.body(images)]


def _is_channels_last(body: nn.Module) -> bool:
    return str(getattr(body, "output_fmt", "")).endswith("NHWC")


@torch.no_grad()
def _example(name: str, network: nn.Module, size: int) -> list[Tensor]:
    try:
        return network(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(f"pretrain.teacher={name} does not accept images of {size}x{size} pixels: {error}") from error


def _no_download(name: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f"cannot download the weights of pretrain.teacher={name}: {error}. Without a network, give a local file with "
        "pretrain.teacher_weights=FILE"
    )
