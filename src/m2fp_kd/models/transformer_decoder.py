"""Transformer decoder of M2FP: in every layer, queries attend to the features under their own masks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.attention import Attention, sine_positions
from m2fp_kd.models.outputs import M2FPOutput
from m2fp_kd.models.pixel_decoder import LEVELS


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention and a feed-forward network, each followed by addition and LayerNorm."""

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.cross_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm = nn.LayerNorm(width)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, queries: Tensor, places: Tensor, keys: Tensor, values: Tensor, attend: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            queries: (B, Q, D) features of the queries.
            places: (Q, D) learned position of each query.
            keys: (B, S, D) tokens of a level with their positions added.
            values: (B, S, D) tokens of the level.
            attend: (B, Q, S) bool, True where a query may attend.

        Returns:
            (B, Q, D).
        """
        queries = self.cross_norm(queries + self.cross_attention(queries + places, keys, values, attend))
        placed = queries + places
        queries = self.self_norm(queries + self.self_attention(placed, placed, queries))
        return self.norm(queries + self.linear2(F.relu(self.linear1(queries))))


class TransformerDecoder(nn.Module):
    """Masked-attention transformer decoder (Cheng et al. 2022, Mask2Former, section 3.2).

    Args:
        num_classes: C, without "no object".
        width: channels of queries and levels.
        mask_width: channels of the mask features.
        queries: number of queries.
        layers: number of layers.
        heads: number of attention heads.
        feedforward: width of the feed-forward layers.
        exact_order: whether to compute attention masks like the reference, by resizing full-size masks. The default
            resizes the mask features first (once per level), which is far cheaper and equal in real arithmetic, because
            resizing is linear.
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        mask_width: int,
        queries: int,
        layers: int,
        heads: int,
        feedforward: int,
        exact_order: bool = False,
    ) -> None:
        super().__init__()
        self.exact_order = exact_order
        self.query_features = nn.Parameter(torch.randn(queries, width))
        self.query_places = nn.Parameter(torch.randn(queries, width))
        self.level_embed = nn.Parameter(torch.randn(LEVELS, width))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.class_embed = nn.Linear(width, num_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, mask_width)
        )

    def forward(self, levels: list[Tensor], mask_features: Tensor, auxiliary: bool) -> M2FPOutput:
        """Predict classes and masks.

        Args:
            levels: three maps (B, width, h, w), coarse to fine.
            mask_features: (B, mask_width, H/4, W/4).
            auxiliary: whether to also return the predictions before the first layer and after every layer but the last.
        """
        sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        values = [
            level.flatten(2).transpose(1, 2) + embed for level, embed in zip(levels, self.level_embed, strict=True)
        ]
        keys = [
            value + sine_positions(size, value.shape[-1], value.device)
            for value, size in zip(values, sizes, strict=True)
        ]
        small = [] if self.exact_order else [_resize(mask_features.detach(), size) for size in sizes]
        queries = self.query_features.expand(mask_features.shape[0], -1, -1)
        predictions = []
        for index, layer in enumerate(self.layers):
            level = index % LEVELS
            normed = self.norm(queries)
            embedding = self.mask_embed(normed)
            if auxiliary:
                predictions.append((self.class_embed(normed), _masks(embedding, mask_features)))
            with torch.no_grad():
                if self.exact_order:
                    logits = _resize(_masks(embedding, mask_features), sizes[level])
                else:
                    logits = _masks(embedding, small[level])
                attend = attended(logits.flatten(2))
            queries = layer(queries, self.query_places, keys[level], values[level], attend)
        normed = self.norm(queries)
        masks = _masks(self.mask_embed(normed), mask_features)
        return M2FPOutput(self.class_embed(normed), masks, predictions, mask_features)


def attended(mask_logits: Tensor) -> Tensor:
    """Return where each query may attend: inside its mask (probability at least 0.5), or everywhere if it is empty.

    Args:
        mask_logits: (B, Q, S).

    Returns:
        (B, Q, S) bool with a True in every row. Computed without indexing, so that it can be exported.
    """
    return (mask_logits >= 0) | (mask_logits.amax(dim=-1, keepdim=True) < 0)


def _masks(embedding: Tensor, mask_features: Tensor) -> Tensor:
    """Multiply embeddings (B, Q, D) by features (B, D, h, w) to get mask logits (B, Q, h, w).

    Features are used as tokens (B, h w, D), which is their memory layout here and in OpenVINO. Using them as planes
    would need a transposition that takes 6 % of an m2fp student's time in OpenVINO's bf16.
    """
    tokens = mask_features.permute(0, 2, 3, 1).flatten(1, 2)
    return (embedding @ tokens.transpose(1, 2)).unflatten(2, mask_features.shape[-2:])


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
