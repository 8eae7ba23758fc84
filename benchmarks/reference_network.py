"""Build ModelScope's M2FP with random weights; ModelScope must be installed."""

import sys
import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.labels import load_label_set

PARTS, QUERIES = 20, 100
PASTE_THRESHOLD = 0.3
INSTALL = "pip install modelscope addict attrs einops simplejson sortedcontainers opencv-python-headless modelscope-hub"
FEATURES = ["res2", "res3", "res4", "res5"]


def configuration() -> dict[str, Any]:
    """Return a new copy of the published multi-person configuration with ResNet-101; the reference modifies it."""
    return {
        "backbone": {
            "out_features": FEATURES,
            "depth": 101,
            "num_groups": 1,
            "width_per_group": 64,
            "norm": "BN",
            "stem_out_channels": 128,
            "res2_out_channels": 256,
            "stride_in_1x1": False,
            "res4_dilation": 1,
            "res5_dilation": 1,
            "res5_multi_grid": [1, 1, 1],
        },
        "encoder": {
            "in_features": FEATURES,
            "transformer_dropout": 0.0,
            "transformer_nheads": 8,
            "transformer_dim_feedforward": 1024,
            "transformer_enc_layers": 6,
            "conv_dim": 256,
            "mask_dim": 256,
            "transformer_in_features": FEATURES[1:],
            "common_stride": 4,
        },
        "decoder": {
            "mask_classification": True,
            "num_classes": PARTS + 1,
            "hidden_dim": 256,
            "num_queries": QUERIES,
            "nheads": 8,
            "dim_feedforward": 2048,
            "dec_layers": 9,
            "pre_norm": False,
            "mask_dim": 256,
            "enforce_input_project": False,
        },
        "num_parsing": PARTS,
        "single_human": False,
        "parsing_on": True,
        "semantic_on": False,
        "parsing_ins_score_thr": PASTE_THRESHOLD,
    }


def sample_deformably(
    value: Tensor, spatial_shapes: Tensor, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Compute weighted sums of bilinear samples from several levels, the function that the reference takes from mmcv.

    Args:
        value: (B, S, heads, D).
        spatial_shapes: (levels, 2), height and width.
        sampling_locations: (B, queries, heads, levels, points, 2), x and y in 0..1.
        attention_weights: (B, queries, heads, levels, points).

    Returns:
        (B, queries, heads * D).
    """
    batch, _, heads, depth = value.shape
    queries = sampling_locations.shape[1]
    grids = (2 * sampling_locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)
    sizes = [(int(height), int(width)) for height, width in spatial_shapes]
    samples = []
    for tokens, grid, size in zip(value.split([h * w for h, w in sizes], dim=1), grids, sizes, strict=True):
        level = tokens.permute(0, 2, 3, 1).reshape(batch * heads, depth, *size)
        samples.append(F.grid_sample(level, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
    weights = attention_weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    summed = (torch.cat(samples, dim=-1) * weights).sum(-1)
    return summed.view(batch, heads * depth, queries).transpose(1, 2)


def reference_network() -> nn.Module:
    """Return ModelScope's network with random weights; a stub replaces mmcv, of which it uses one function."""
    stub = types.ModuleType("mmcv.ops.multi_scale_deform_attn")
    stub.multi_scale_deformable_attn_pytorch = sample_deformably
    stub.MultiScaleDeformableAttnFunction = None  # only used on CUDA
    sys.modules.update(
        {"mmcv": types.ModuleType("mmcv"), "mmcv.ops": types.ModuleType("mmcv.ops"), stub.__name__: stub}
    )
    try:
        from modelscope.models.cv.image_human_parsing.m2fp_net import M2FP as Reference
    except ImportError as error:
        raise SystemExit(
            f"cannot import ModelScope's M2FP ({error}); install it, preferably in a separate environment: {INSTALL}"
        ) from error
    classes = [*load_label_set("cihp").parts, "Human"]
    return Reference(model_dir=".", classes=classes, **configuration()).eval()


def two_persons(size: int) -> tuple[Tensor, Tensor]:
    """Return predictions like a trained network's for a photo of two persons, each with `Human` and 12 parts.

    Returns:
        class_logits (1, Q, C + 1) and mask_logits (1, Q, size / 4, size / 4).
    """
    generator = torch.Generator().manual_seed(0)
    side = size // 4
    y, x = torch.meshgrid(*[torch.linspace(0, 1, side)] * 2, indexing="ij")
    classes = torch.randn(1, QUERIES, PARTS + 2, generator=generator)
    classes[..., -1] += 8
    masks = torch.full((1, QUERIES, side, side), -8.0) + torch.randn(1, QUERIES, side, side, generator=generator)
    ellipses = [(0, 0.5, 0.5, 2.0, 2.0)]
    for centre in (0.3, 0.7):
        ellipses.append((PARTS, centre, 0.5, 0.18, 0.45))
        ellipses += [(1 + part, centre + 0.1 * (part % 3 - 1), 0.1 + 0.07 * part, 0.08, 0.06) for part in range(12)]
    for query, (category, cx, cy, rx, ry) in enumerate(ellipses):
        classes[0, query, category] += 16
        masks[0, query] += 16 * torch.exp(-(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) * 0.7)
    return classes, masks
