"""Pixel decoder of M2FP: a deformable transformer over strides 8, 16 and 32, then one upsampling step to stride 4."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.attention import DeformableAttention, sine_positions

LEVELS = 3
_GROUPS = 32


class EncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward network, each followed by addition and LayerNorm."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, LEVELS)
        self.attention_norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm = nn.LayerNorm(width)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, tokens: Tensor, positions: Tensor, reference: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Map (B, S, D) tokens of all levels to the same shape."""
        tokens = self.attention_norm(tokens + self.attention(tokens + positions, tokens, reference, sizes))
        return self.norm(tokens + self.linear2(F.relu(self.linear1(tokens), inplace=True)))


class PixelDecoder(nn.Module):
    """Multi-scale deformable pixel decoder (Cheng et al. 2022, Mask2Former, section 3.2.1).

    Args:
        channels: channels of the backbone's features at strides 4, 8, 16, 32.
        width: channels of the decoder, a multiple of 32 (GroupNorm) and of `heads`.
        mask_width: channels of the mask features.
        layers: number of transformer layers.
        heads: number of attention heads.
        feedforward: width of the feed-forward layers.

    Raises:
        ValueError: the width is not a multiple of 32.
    """

    def __init__(
        self, channels: tuple[int, ...], width: int, mask_width: int, layers: int, heads: int, feedforward: int
    ) -> None:
        super().__init__()
        if width % _GROUPS:
            raise ValueError(f"the pixel decoder's width must be a multiple of {_GROUPS} (GroupNorm), got {width}")
        self.projections = nn.ModuleList(
            nn.Sequential(_convolution(inputs, width), nn.GroupNorm(_GROUPS, width)) for inputs in channels[:0:-1]
        )
        self.level_embed = nn.Parameter(torch.randn(LEVELS, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward) for _ in range(layers))
        self.lateral = nn.Sequential(_convolution(channels[0], width, bias=False), nn.GroupNorm(_GROUPS, width))
        self.smooth = nn.Sequential(
            _convolution(width, width, kernel=3, bias=False), nn.GroupNorm(_GROUPS, width), nn.ReLU()
        )
        self.mask_features = _convolution(width, mask_width)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Decode the backbone's features.

        Args:
            features: four maps at strides 4, 8, 16, 32.

        Returns:
            Three maps (B, width, h, w) at strides 32, 16, 8, and the mask features (B, mask_width, H/4, W/4).
        """
        maps = [project(feature) for project, feature in zip(self.projections, features[:0:-1], strict=True)]
        sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)
        positions = torch.cat(
            [
                sine_positions(size, tokens.shape[-1], tokens.device) + embed
                for size, embed in zip(sizes, self.level_embed, strict=True)
            ]
        )
        reference = torch.cat([_pixel_centres(height, width, tokens.device) for height, width in sizes])
        for layer in self.layers:
            tokens = layer(tokens, positions, reference, sizes)
        levels = tokens.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
        maps = [level.unflatten(2, size) for level, size in zip(levels, sizes, strict=True)]
        lateral = self.lateral(features[0])
        upsampled = F.interpolate(maps[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return maps, self.mask_features(self.smooth(lateral + upsampled))


def _convolution(inputs: int, outputs: int, kernel: int = 1, bias: bool = True) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Return (height * width, 2): (x, y) of every pixel's centre in 0..1, row by row."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)
