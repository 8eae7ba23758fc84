"""Attention of M2FP: masked multi-head attention, multi-scale deformable attention and sine positions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with separate linear layers for queries, keys, values and output.

    The projections are not packed into one matrix, so that quantisation and pruning see plain `nn.Linear` layers.
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
        for layer in (self.query, self.key, self.value):  # distributed as in a packed (3 width, width) matrix
            nn.init.xavier_uniform_(layer.weight, gain=1 / math.sqrt(2))
            nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None) -> Tensor:
        """Attend from (B, L, D) `query` to (B, S, D) `key` and `value`.

        Args:
            query: (B, L, D).
            key: (B, S, D).
            value: (B, S, D).
            attend: (B, L, S) bool, True where a query may attend; None to attend everywhere. A row without any True
                gives NaN.

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

    Every token attends to `points` sampled locations on each of `levels` feature maps; locations and weights are linear
    in the token. Sampling is bilinear, with zeros outside the map.
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
        """Point the offsets of head h in direction 2 pi h / heads, at a distance of k + 1 pixels for point k."""
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
            reference: (S, 2), location (x, y) of each token in 0..1.
            sizes: (height, width) of each level, in the order of the tokens.

        Returns:
            (B, S, D).
        """
        batch, tokens, width = query.shape
        shape = batch, tokens, self.heads, self.levels, self.points
        offsets = self.sampling_offsets(query).view(*shape, 2)
        weights = self.attention_weights(query).view(*shape[:3], -1).softmax(-1).view(shape)
        # Locations in pixels of their level; those outside a map are clamped to its border of zeros.
        extent = query.new_tensor([[columns, rows] for rows, columns in sizes])[:, None]
        locations = (reference[:, None, None, None] * extent - 0.5 + offsets).clamp_(min=-1).minimum(extent)
        corner = locations.detach().floor()
        x, y = (locations - corner).unbind(-1)
        lower = weights * y
        upper = weights - lower
        bilinear = torch.stack([upper - upper * x, upper * x, lower - lower * x, lower * x], dim=-1)
        vectors, index = self._table(self.value(value), corner.int(), sizes)
        # A bag is the result of one head of one token: the weighted sum of the four corners of `levels * points`
        # locations.
        bags = index.view(batch * tokens * self.heads, -1), bilinear.view(batch * tokens * self.heads, -1)
        attended = F.embedding_bag(bags[0], vectors.to(bilinear.dtype), per_sample_weights=bags[1], mode="sum")
        return self.out(attended.view(batch, tokens, width))

    def _table(self, values: Tensor, corner: Tensor, sizes: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return the values as a lookup table, and the table's rows of the four corners around every location.

        Args:
            values: (B, S, D).
            corner: int32 (B, S, heads, levels, points, 2), upper left neighbours (x, y) in -1..size.
            sizes: (height, width) of each level.

        Returns:
            The table (rows, D / heads), in which every map has a border of zeros (one pixel, two at the right and
            bottom), and the rows, int32 (B, S, heads, levels, points, 4): upper left, upper right, lower left, lower
            right.
        """
        levels = values.split([rows * columns for rows, columns in sizes], dim=1)
        maps = [
            F.pad(level.unflatten(1, size), (0, 0, 1, 2, 1, 2)).flatten(1, 2)
            for level, size in zip(levels, sizes, strict=True)
        ]
        table = torch.cat(maps, dim=1)
        batch, length, _ = table.shape
        starts = [sum(level.shape[1] for level in maps[:number]) for number in range(len(maps))]
        # Units are one pixel of one head.
        down = corner.new_tensor([columns + 3 for _, columns in sizes])[:, None]
        first = corner[..., 1] * down + corner[..., 0] + (corner.new_tensor(starts)[:, None] + down + 1)
        first = first + length * torch.arange(batch, dtype=torch.int32, device=first.device).view(-1, 1, 1, 1, 1)
        first = first * self.heads + torch.arange(self.heads, dtype=torch.int32, device=first.device).view(-1, 1, 1)
        down = down * self.heads
        corners = torch.stack([first, first + self.heads, first + down, first + down + self.heads], dim=-1)
        return table.view(batch * length * self.heads, -1), corners


def sine_positions(size: tuple[int, int], channels: int, device: torch.device) -> Tensor:
    """Return the sine position embedding of a feature map (Carion et al. 2020, DETR), normalised to the map's size.

    Args:
        size: (height, width) of the map.
        channels: number of channels, a multiple of 4.
        device: device of the result.

    Returns:
        (height * width, channels) float32: the first half of the channels encodes y, the second half x.
    """
    if channels % 4:
        raise ValueError(f"sine positions need a multiple of 4 channels, got {channels}")
    height, width = size
    quarter = channels // 4
    frequencies = 10000 ** -(torch.arange(quarter, dtype=torch.float32, device=device) / quarter)

    def embed(length: int) -> Tensor:
        positions = torch.arange(1, length + 1, dtype=torch.float32, device=device) * (2 * math.pi / (length + 1e-6))
        angles = positions[:, None] * frequencies
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

    rows = embed(height)[:, None].expand(-1, width, -1)
    columns = embed(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
