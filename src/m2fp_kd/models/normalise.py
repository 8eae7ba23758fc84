"""Normalisation of images, the first module of every network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)


class Normalise(nn.Module):
    """Normalise RGB images in 0..255 to zero mean and unit variance.

    Args:
        mean: mean per channel in 0..255; by default that of ImageNet.
        std: standard deviation per channel in 0..255; by default that of ImageNet.

    The result is in channels-last memory format, which convolutions keep and which is several times faster on CPUs.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGE_MEAN, std: Sequence[float] = IMAGE_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(tuple(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(tuple(std)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) uint8 or float RGB 0..255 to float32 of the same shape."""
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
