"""The per-pixel student: a backbone, a light top-down decoder and a linear classifier at stride 4."""

import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import StudentOutput

STRIDE, COARSEST = 4, 32
"""Canvas pixels per cell of the part logits, and image pixels per cell of the backbone's coarsest features."""


class FPNDecoder(nn.Module):
    """Light feature pyramid (Lin et al. 2017, "Feature Pyramid Networks") that refines fine features by coarse ones.

    Lateral 1x1 convolutions bring every level to one width. From coarse to fine, each level is added to the upsampled
    coarser level and refined by a depthwise separable 3x3 convolution. The coarsest level also gets its own global
    average (Liu et al. 2015, "ParseNet"). The decoder uses only convolutions, additions and ReLU, which suits INT8.

    Args:
        channels: channels of the backbone's features at strides 4, 8, 16, 32.
        width: channels of every output level.
    """

    def __init__(self, channels: tuple[int, ...], width: int = 128) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)) for inputs in channels
        )
        # No BatchNorm here: with one value per channel and photo, a batch of one has no variance.
        self.context = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1), nn.ReLU())
        self.refinements = nn.ModuleList(_separable(width) for _ in channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map features (B, channels[i], H / s, W / s), s = 4, 8, 16, 32, to the same sizes with `width` channels."""
        laterals = [lateral(level) for lateral, level in zip(self.laterals, features, strict=True)]
        level = self.refinements[-1](laterals[-1] + self.context(laterals[-1]))
        refined = [level]
        for lateral, refine in zip(laterals[-2::-1], self.refinements[-2::-1], strict=True):
            level = refine(lateral + F.interpolate(level, scale_factor=2.0, mode="bilinear"))
            refined.append(level)
        return refined[::-1]


class FPNStudent(nn.Module):
    """Per-pixel student.

    Args:
        backbone: backbone with features at strides 4, 8, 16, 32.
        num_parts: P, background included.
        width: channels of the decoder.
        scale: side of the images that the backbone sees, as a share of the canvas's side, 0.5..1. A strong backbone on
            fewer pixels can be both faster and more accurate than a light one on all of them.

    Raises:
        ValueError: the scale is out of range.
    """

    def __init__(self, backbone: Backbone, num_parts: int, width: int = 128, scale: float = 1.0) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.scale = scale
        self.reduce = Reduction(scale)
        self.backbone = backbone
        self.decoder = FPNDecoder(backbone.channels, width)
        self.classifier = nn.Conv2d(width, num_parts, 1)

    def forward(self, images: Tensor) -> StudentOutput:
        """Predict part logits at stride 4.

        Args:
            images: (B, 3, H, W) RGB 0..255, uint8 or float; H and W multiples of 32.
        """
        images = self.normalise(images)
        features = self.decoder(self.backbone(self.reduce(images)))[0]
        logits = self.classifier(features)
        if self.scale != 1:
            height, width = images.shape[-2] // STRIDE, images.shape[-1] // STRIDE
            logits, features = _resized(logits, height, width), _resized(features, height, width)
        return StudentOutput(part_logits=logits, features=features)


class Reduction(nn.Module):
    """A bilinear resize of images to a share of each side, rounded to a multiple of 32.

    Args:
        scale: the share, 0.5..1; with 1 the images are unchanged.

    Raises:
        ValueError: the scale is out of range.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        if not 0.5 <= scale <= 1:
            raise ValueError(f"scale={scale} of a student must be in 0.5..1")
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        """Resize images (B, C, H, W)."""
        if self.scale == 1:
            return images
        return _resized(images, _scaled(images.shape[-2], self.scale), _scaled(images.shape[-1], self.scale))


def _resized(values: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(values, size=[height, width], mode="bilinear")


def _scaled(side: int, scale: float) -> int:
    """Return the multiple of 32 nearest to a share of a side, in integers only, which every exporter can trace."""
    return (side * round(COARSEST * scale) // COARSEST + COARSEST // 2) // COARSEST * COARSEST


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )
