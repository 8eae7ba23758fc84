"""Attention of M2FP: masked multi-head attention, multi-scale deformable attention and sine positions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with a linear layer each for queries, keys, values and output.

    The layers are apart (no packed projection) so that quantisation and pruning see plain `nn.Linear`s.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; choose heads that divide the width")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value):  # as one packed (3 width, width) matrix would be drawn
            nn.init.xavier_uniform_(layer.weight, gain=1 / math.sqrt(2))
            nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None) -> Tensor:
        """Attend from (B, L, D) `query` to (B, S, D) `key` and `value`.

        Args:
            attend: (B, L, S) bool, True where a query may look; None for everywhere. A row without any True gives NaN.

        Returns:
            (B, L, D).
        """
        mask = None if attend is None else attend.unsqueeze(1)
        heads = F.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value)), attn_mask=mask
        )
        return self.out(heads.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Multi-scale deformable self-attention (Zhu et al. 2021, Deformable DETR, equation 3).

    Every token looks at `points` sampled places on each of `levels` feature maps; places and weights are linear in the
    token. Samples are bilinear, zero outside the map.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; choose heads that divide the width")
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._initialise()

    def _initialise(self) -> None:
        """Head h starts looking in direction 2 pi h / heads, its point number k at k + 1 pixels, with equal weights."""
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1).view(1, 1, -1, 1)
        grid = directions.view(-1, 1, 1, 2) * steps.expand(-1, self.levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(grid.flatten())

    def forward(self, query: Tensor, value: Tensor, reference: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Attend from every token to all levels.

        Args:
            query: (B, S, D) tokens with their positions added; S is the sum of the levels' sizes.
            value: (B, S, D) tokens.
            reference: (S, 2), each token's own place as (x, y) in 0..1.
            sizes: (height, width) of each level, in the order of the tokens.

        Returns:
            (B, S, D).
        """
        batch, tokens, width = query.shape
        shape = batch, tokens, self.heads, self.levels, self.points
        # both to (levels, points, B, heads, S, ...)
        offsets = self.sampling_offsets(query).view(*shape, 2).permute(3, 4, 0, 2, 1, 5)
        weights = self.attention_weights(query).view(*shape[:3], -1).softmax(-1).view(shape).permute(3, 4, 0, 2, 1)
        maps = self.value(value).transpose(1, 2).reshape(batch * self.heads, -1, tokens)
        levels = maps.split([height * width for height, width in sizes], dim=-1)
        attended = torch.zeros_like(maps, dtype=weights.dtype)  # not bfloat16 under autocast
        for level, level_offsets, level_weights, (rows, columns) in zip(levels, offsets, weights, sizes, strict=True):
            level = level.unflatten(-1, (rows, columns))
            # grid_sample counts -1..1 from edge to edge; an offset of one is one pixel of the level
            grids = (2 * reference - 1) + level_offsets * query.new_tensor([2 / columns, 2 / rows])
            # point by point: all points' samples together would leave the processor's cache, at half the speed
            for grid, weight in zip(grids.flatten(1, 2), level_weights.flatten(1, 2), strict=True):
                samples = F.grid_sample(level, grid.unsqueeze(1), align_corners=False).squeeze(2)
                attended.addcmul_(samples, weight.unsqueeze(1))
        return self.out(attended.view(batch, width, tokens).transpose(1, 2))


def sine_positions(size: tuple[int, int], channels: int, device: torch.device) -> Tensor:
    """Sine position embedding of a feature map (Carion et al. 2020, DETR), normalised to the map's size.

    Args:
        size: (height, width).

    Returns:
        (height * width, channels) float32: the first half of the channels tells y, the second half x.
    """
    if channels % 4:
        raise ValueError(f"sine positions need a multiple of 4 channels, got {channels}")
    height, width = size
    quarter = channels // 4
    frequencies = 10000 ** -(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)

    def embed(length: int) -> Tensor:
        places = torch.arange(1, length + 1, dtype=torch.float32, device=device) * (2 * math.pi / (length + 1e-6))
        angles = places[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

    rows = embed(height)[:, None].expand(-1, width, -1)
    columns = embed(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
