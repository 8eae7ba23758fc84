"""Backbones that turn images into features at strides 4, 8, 16 and 32.

All come from timm except ShuffleNetV2, which only torchvision has.
"""

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
import torchvision
from timm.models import FeatureInfo
from torch import Tensor, nn

from m2fp_kd.models.backbone_file import PACKAGED, backbone_card, load_backbone, packaged_weights
from m2fp_kd.models.backbone_weights import downloading, fold_normalisation, load_backbone_weights
from m2fp_kd.models.image_statistics import timm_statistics
from m2fp_kd.models.normalise import IMAGE_MEAN, IMAGE_STD
from m2fp_kd.models.padded_convolution import with_constant_padding

STRIDES = (4, 8, 16, 32)

TIMM_NAMES = {
    "mobilenetv3": "mobilenetv3_large_100",
    "mobilenetv3_small": "mobilenetv3_small_100",
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101s",  # the deeplab stem (three 3x3 convolutions) of M2FP's ResNet-101
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite1": "tf_efficientnet_lite1",
    "efficientnet_lite2": "tf_efficientnet_lite2",
}
BACKBONES = (*TIMM_NAMES, "shufflenetv2")


class Backbone(nn.Module):
    """A feature extractor with four levels.

    Args:
        body: module that maps normalised images (B, 3, H, W), H and W multiples of 32, to four tensors
            (B, channels[i], H / s, W / s) for s = 4, 8, 16, 32.
        channels: channels of the four levels.

    Raises:
        ValueError: `body` returns other levels.
    """

    def __init__(self, body: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.body = body
        self.channels = tuple(channels)
        self._check()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of normalised images (B, 3, H, W), finest level first."""
        return self.body(images)

    @torch.no_grad()
    def _check(self, size: int = 64) -> None:
        training = self.training
        levels = self.eval()(torch.zeros(1, 3, size, size))
        self.train(training)
        found = [tuple(level.shape[1:]) for level in levels]
        wanted = [(c, size // s, size // s) for c, s in zip(self.channels, STRIDES, strict=False)]
        if found != wanted or len(found) != len(STRIDES):
            raise ValueError(
                f"a backbone gives four levels at strides {STRIDES}: for {size}x{size} pixels, (channels, height, "
                f"width) should be {wanted}, not {found}"
            )


class ShuffleNetBody(nn.Module):
    """The four levels of a torchvision ShuffleNetV2, without its last 1x1 convolution and classifier."""

    def __init__(self, net: torchvision.models.ShuffleNetV2) -> None:
        super().__init__()
        self.conv1 = net.conv1
        self.maxpool = net.maxpool
        self.stage2 = net.stage2
        self.stage3 = net.stage3
        self.stage4 = net.stage4

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features at strides 4, 8, 16 and 32."""
        levels = [self.maxpool(self.conv1(images))]
        for stage in (self.stage2, self.stage3, self.stage4):
            levels.append(stage(levels[-1]))
        return levels


def build_backbone(
    name: str, pretrained: bool = False, weights: str | None = None, zero_init_last: bool = False
) -> Backbone:
    """Build one of `BACKBONES`.

    Args:
        name: name in `BACKBONES`.
        pretrained: whether to start from the ImageNet weights of timm or torchvision, downloaded once.
        weights: local file to start from instead: one that `stage=pretrain` wrote, or ImageNet weights (see
            `load_backbone_weights`). `m2fp_kd` takes the file in the package, unless `pretrained` is set.
        zero_init_last: whether to initialise the last BatchNorm of every residual block with zero, so that an untrained
            ResNet starts as a shallow one (He et al. 2019, "Bag of Tricks"); for ResNets without pretrained weights.

    Raises:
        ValueError: the name is unknown, the arguments exclude each other, or the weights are of another network.
        FileNotFoundError: the file `weights` does not exist.
        ConnectionError: `pretrained` is set and there is no network (raised within seconds).
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; choose one of {', '.join(BACKBONES)}")
    if weights == PACKAGED:
        weights = None if pretrained else packaged_weights(name)
    if pretrained and weights:
        raise ValueError("backbone.pretrained=true and backbone.weights=FILE exclude each other; keep one")
    if zero_init_last and (pretrained or weights or not name.startswith("resnet")):
        raise ValueError("backbone.zero_init_last=true is for ResNets that start without pretrained weights")
    ours = weights if weights and backbone_card(weights) else None
    with downloading(name, pretrained):
        if name == "shufflenetv2":
            body, channels = _shufflenet(pretrained)
        else:
            body, channels = _timm(name, pretrained, zero_init_last)
    if weights and not ours:
        load_backbone_weights(body, _full_shapes(name), weights)
    if (pretrained or (weights and not ours)) and name in TIMM_NAMES:
        fold_normalisation(body, *timm_statistics(body), IMAGE_MEAN, IMAGE_STD)
    backbone = Backbone(with_constant_padding(body), channels)
    if ours:
        load_backbone(backbone, ours)
    return backbone


def _timm(name: str, pretrained: bool, zero_init_last: bool) -> tuple[nn.Module, Sequence[int]]:
    options: dict[str, Any] = {"zero_init_last": zero_init_last} if name.startswith("resnet") else {}
    # timm numbers the levels from stride 2.
    body = timm.create_model(
        TIMM_NAMES[name], pretrained=pretrained, features_only=True, out_indices=(1, 2, 3, 4), **options
    )
    return body, cast(FeatureInfo, body.feature_info).channels()


def _shufflenet(pretrained: bool) -> tuple[nn.Module, Sequence[int]]:
    net = torchvision.models.shufflenet_v2_x1_0(weights="IMAGENET1K_V1" if pretrained else None)
    return ShuffleNetBody(net), net._stage_out_channels[:4]


def _full_shapes(name: str) -> dict[str, torch.Size]:
    """Return names and shapes of the whole classifier's tensors, in order, without allocating them."""
    with torch.device("meta"):
        if name == "shufflenetv2":
            net: nn.Module = torchvision.models.shufflenet_v2_x1_0()
        else:
            net = timm.create_model(TIMM_NAMES[name])
    return {key: tensor.shape for key, tensor in net.state_dict().items()}
