"""Replace M2FP's attention by operations that every format has and that engines run fast."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.attention import Attention, DeformableAttention


class GridSampledAttention(nn.Module):
    """`DeformableAttention` with the same weights, in operations that every format has: one `grid_sample` per level.

    The original looks up its samples with `embedding_bag`, which is faster in PyTorch, but exports to a loop in ONNX,
    and a table traced at one size is wrong at another. Sums are taken in another order: results agree to 1e-5.

    Tokens are the innermost axis throughout, as sampling needs them, and linear layers are convolutions of one pixel:
    OpenVINO takes longer to transpose tokens than to multiply them with the weights, but its convolutions accept either
    layout.
    """

    def __init__(self, attention: DeformableAttention) -> None:
        super().__init__()
        self.heads, self.levels, self.points = attention.heads, attention.levels, attention.points
        self.x_offsets = _pointwise(attention.sampling_offsets, slice(0, None, 2))
        self.y_offsets = _pointwise(attention.sampling_offsets, slice(1, None, 2))
        self.attention_weights = _pointwise(attention.attention_weights)
        self.value = _pointwise(attention.value)
        self.out = attention.out

    def forward(self, query: Tensor, value: Tensor, reference: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Compute `DeformableAttention.forward`."""
        batch, tokens, _ = query.shape
        query, value = _as_map(query), _as_map(value)
        x_offsets, y_offsets, weights, values = (
            layer(of_tokens).reshape(batch * self.heads, -1, tokens)
            for layer, of_tokens in (
                (self.x_offsets, query),
                (self.y_offsets, query),
                (self.attention_weights, query),
                (self.value, value),
            )
        )
        x_offsets, y_offsets, weights = (  # by level
            of_places.split(self.points, dim=1) for of_places in (x_offsets, y_offsets, weights.softmax(1))
        )
        attended: Tensor | None = None  # not zeros: the ONNX exporter would make their batch size a constant
        maps = values.split([rows * columns for rows, columns in sizes], dim=2)
        for level, (rows, columns) in enumerate(sizes):
            x = reference[:, 0] + x_offsets[level] / columns
            y = reference[:, 1] + y_offsets[level] / rows
            grid = 2 * torch.stack([x, y], dim=-1) - 1  # grid_sample takes positions from -1 to 1
            samples = F.grid_sample(maps[level].unflatten(2, (rows, columns)), grid, align_corners=False)
            of_level = (samples * weights[level].unsqueeze(1)).sum(2)
            attended = of_level if attended is None else attended + of_level
        assert attended is not None, "attention needs a level"
        return self.out(attended.view(batch, -1, tokens).transpose(1, 2))


def _as_map(tokens: Tensor) -> Tensor:
    """Reshape tokens (B, S, D) to a map of one column, (B, D, S, 1)."""
    return tokens.unsqueeze(2).permute(0, 3, 1, 2)


def _pointwise(layer: nn.Linear, rows: slice = slice(None)) -> nn.Conv2d:
    """Convert a linear layer, or some rows of it, to a 1x1 convolution.

    Its weights are contiguous, because PyTorch's INT8 kernels read a bias as if it were.
    """
    weight, bias = layer.weight.detach()[rows].contiguous(), layer.bias.detach()[rows].contiguous()
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    convolution.weight, convolution.bias = nn.Parameter(weight[:, :, None, None]), nn.Parameter(bias)
    return convolution


class SoftmaxAttention(nn.Module):
    """`Attention` with the same weights, without the guards of an exported `scaled_dot_product_attention`.

    The guards handle fully masked rows, which M2FP's masks do not have (`attended`), and cost three passes over all
    scores. Keys and values come from convolutions, as in `GridSampledAttention`.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.query, self.out = attention.query, attention.out
        self.key, self.value = _pointwise(attention.key), _pointwise(attention.value)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None) -> Tensor:
        """Compute `Attention.forward`."""
        queries = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        keys, values = (
            layer(_as_map(tokens)).flatten(2).unflatten(1, (self.heads, -1))
            for layer, tokens in ((self.key, key), (self.value, value))
        )
        scores = (queries * queries.shape[-1] ** -0.5) @ keys
        if attend is not None:
            scores = scores.masked_fill(~attend.unsqueeze(1), -torch.inf)
        attended = scores.softmax(-1) @ values.transpose(2, 3)
        return self.out(attended.transpose(1, 2).flatten(2))
