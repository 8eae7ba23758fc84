"""Pixel decoder of M2FP: a deformable transformer over strides 8, 16 and 32, then one step up to stride 4."""

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
        """(B, S, D) tokens of all levels -> the same."""
        tokens = self.attention_norm(tokens + self.attention(tokens + positions, tokens, reference, sizes))
        return self.norm(tokens + self.linear2(F.relu(self.linear1(tokens))))


class PixelDecoder(nn.Module):
    """Multi-scale deformable pixel decoder (Cheng et al. 2022, Mask2Former, section 3.2.1).

    Args:
        channels: of the backbone's features at strides 4, 8, 16, 32.
        width: channels of all features here; a multiple of 32 (GroupNorm) and of `heads`.
        mask_width: channels of the mask features.
    """

    def __init__(
        self, channels: tuple[int, ...], width: int, mask_width: int, layers: int, heads: int, feedforward: int
    ) -> None:
        super().__init__()
        if width % _GROUPS:
            raise ValueError(f"the pixel decoder's width must be a multiple of {_GROUPS} (GroupNorm), got {width}")
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, width, 1), nn.GroupNorm(_GROUPS, width)) for inputs in channels[:0:-1]
        )
        self.level_embed = nn.Parameter(torch.randn(LEVELS, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward) for _ in range(layers))
        self.lateral = nn.Sequential(nn.Conv2d(channels[0], width, 1, bias=False), nn.GroupNorm(_GROUPS, width))
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, width), nn.ReLU()
        )
        self.mask_features = nn.Conv2d(width, mask_width, 1)
        self._initialise()

    def _initialise(self) -> None:
        for projection in self.projections:
            nn.init.xavier_uniform_(projection[0].weight)
            nn.init.zeros_(projection[0].bias)
        for conv in (self.lateral[0], self.smooth[0], self.mask_features):
            nn.init.kaiming_uniform_(conv.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Decode the backbone's features.

        Args:
            features: four maps at strides 4, 8, 16, 32.

        Returns:
            Three maps (B, width, h, w) at strides 32, 16, 8, and the mask features (B, mask_width, H/4, W/4).
        """
        maps = [project(feature) for project, feature in zip(self.projections, features[:0:-1], strict=True)]
        sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
        tokens = torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2)
        positions = torch.cat(
            [
                sine_positions(height, width, tokens.shape[-1], tokens.device) + embed
                for (height, width), embed in zip(sizes, self.level_embed, strict=True)
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


def _pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """(height * width, 2): (x, y) of every pixel's centre in 0..1, row by row."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)
