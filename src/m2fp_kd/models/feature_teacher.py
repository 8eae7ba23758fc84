"""Frozen networks whose features another backbone learns: our own backbones, timm's and those of transformers."""

import pickle
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor, nn

from m2fp_kd.models.backbone_weights import downloading
from m2fp_kd.models.backbones import BACKBONES, build_backbone
from m2fp_kd.models.image_statistics import SETTINGS, image_statistics, timm_statistics
from m2fp_kd.models.normalise import IMAGE_MEAN, IMAGE_STD, Normalise
from m2fp_kd.versions import install_hint

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
        given = ", ".join(f"{stride:g}" for stride in sorted(set(strides)))
        if missing := [stride for stride in STRIDES if stride not in strides]:
            raise ValueError(
                f"pretrain.teacher={name} gives features at strides {given}, none at "
                f"{' and '.join(map(str, missing))}. Choose a network that lowers its resolution step by step, "
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


Built = tuple[nn.Module, Sequence[float], Sequence[float]]
"""A network, and mean and standard deviation per channel of the images that it expects, in 0..255."""


def build_feature_teacher(name: str, weights: str | None, size: int) -> FeatureTeacher:
    """Build a teacher of features.

    Args:
        name: one of our backbones, such as `efficientnet_lite2`; `timm:NAME` for a model of timm; `transformers:NAME`,
            or a local folder, for a backbone of transformers.
        weights: file of its weights; None downloads those that timm, torchvision or the hub publishes. A model of
            transformers has its weights in its folder.
        size: side of the images in pixels.

    Raises:
        ValueError: the name is unknown, the weights are of another network, or the network lacks a stride.
        FileNotFoundError: the file or the folder does not exist.
        ConnectionError: the weights cannot be downloaded.
    """
    if weights and not Path(weights).is_file():
        raise FileNotFoundError(f"pretrain.teacher_weights={weights} does not exist; correct its path")
    try:
        body, mean, std = _build(name, weights)
    except ConnectionError as error:
        raise ConnectionError(
            f"cannot download the weights of pretrain.teacher={name}: {_line(error.__cause__)}. Without a network, "
            "give a local file with pretrain.teacher_weights=FILE, or the local folder of a transformers backbone"
        ) from error
    return FeatureTeacher(name, nn.Sequential(Normalise(mean, std), body), size)


def _build(name: str, weights: str | None) -> Built:
    library, _, model = name.partition(":")
    if name in BACKBONES:
        return build_backbone(name, pretrained=weights is None, weights=weights), IMAGE_MEAN, IMAGE_STD
    if library == "timm":
        return _of_timm(model, weights)
    if library == "transformers" or Path(name).is_dir():
        return _of_transformers(model or name, weights)
    raise ValueError(
        f"pretrain.teacher={name} is unknown; choose one of {', '.join(BACKBONES)}, timm:NAME, transformers:NAME, or "
        "the folder of a transformers backbone"
    )


def _of_timm(name: str, weights: str | None) -> Built:
    base = name.partition(".")[0]
    if not timm.is_model(base):
        similar = ", ".join(timm.list_models(f"{base[:5]}*")[:5])
        raise ValueError(f"timm has no model {base}" + (f"; it has {similar}" if similar else ""))
    local: dict[str, Any] = {"pretrained_cfg_overlay": {"file": weights}} if weights else {}
    try:
        # The whole classifier: timm loads a part (features_only) of some models without checking the names.
        with downloading(name, weights is None):
            network = timm.create_model(name, pretrained=True, **local)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"the weights do not fit pretrain.teacher=timm:{name}: {_line(error)}") from error
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(f"timm:{name} does not give its inner features; choose another pretrain.teacher")
    return _Intermediates(network), *timm_statistics(network)


def _of_transformers(name: str, weights: str | None) -> Built:
    if weights:
        raise ValueError(f"pretrain.teacher={name} has its own weights; remove pretrain.teacher_weights")
    if find_spec("transformers") is None:
        raise ValueError(f"pretrain.teacher={name} needs transformers: {install_hint('teachers')}")
    # AutoBackbone.from_pretrained refuses local folders (transformers 5.23), its mapping does not.
    from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig

    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"pretrain.teacher={name} has no config.json; write the folder with save_pretrained")
    with downloading(name, not folder.is_dir()):
        config = AutoConfig.from_pretrained(name)
        if type(config) not in MODEL_FOR_BACKBONE_MAPPING:
            raise ValueError(
                f"pretrain.teacher={name} is a {config.model_type}, for which transformers has no backbone"
            )
        kind: Any = MODEL_FOR_BACKBONE_MAPPING[type(config)]
        body, info = kind.from_pretrained(name, out_features=config.stage_names, output_loading_info=True)
        mean, std = image_statistics(image_settings(name)) or (IMAGE_MEAN, IMAGE_STD)
    # Some backbones add a normalisation to every stage, which starts as the identity.
    if missing := sorted(key for key in info["missing_keys"] if "norm" not in key):
        raise ValueError(f"pretrain.teacher={name} lacks {len(missing)} weights ({', '.join(missing[:5])})")
    return _FeatureMaps(body), mean, std


def image_settings(name: str) -> Path:
    """Return the file that says how the images of a model of transformers are made; it may not exist.

    Args:
        name: a local folder, or a name on the hub, from which the file is downloaded.

    Raises:
        OSError: the hub cannot be reached.
    """
    file = Path(name) / SETTINGS
    if not Path(name).is_dir():
        with suppress(EntryNotFoundError):  # the model has none, or only its other files are here without a network
            file = Path(huggingface_hub.hf_hub_download(name, SETTINGS))
    return file


class _Intermediates(nn.Module):
    """A timm model that gives the features of all its stages."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(images, intermediates_only=True, output_fmt="NCHW")  # type: ignore


class _FeatureMaps(nn.Module):
    """A transformers backbone that gives the list of its feature maps."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.backbone(images).feature_maps)


@torch.no_grad()
def _example(name: str, network: nn.Module, size: int) -> list[Tensor]:
    try:
        return network(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"pretrain.teacher={name} does not accept images of {size}x{size} pixels: {_line(error)}; choose another "
            "data.size or teacher"
        ) from error


def _line(error: BaseException | None) -> str:
    """Return the beginning of a message, which may have many lines, in one line."""
    return " ".join(str(error).split())[:300].rstrip(".")
