"""Models of `transformers` that fit into a unit test, saved with random weights."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    PreTrainedModel,
    Sapiens2Config,
    Sapiens2ForSemanticSegmentation,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SwinConfig,
)

from m2fp_kd.labels import LABEL_SETS

PREPROCESSOR = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_resize": True, "size": 64}


def names(labels: str) -> list[str]:
    """Return the parts of a label set as people write them, such as ``Upper_Clothes``."""
    return [part.replace("-", "_").title() for part in LABEL_SETS[labels].parts]


def segformer(classes: dict[int, str]) -> PreTrainedModel:
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            id2label=classes, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=16,
        )
    )  # fmt: skip


def mask2former(classes: dict[int, str]) -> PreTrainedModel:
    swin = SwinConfig(
        embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2, image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(
            backbone_config=swin, id2label=classes, feature_size=32, mask_feature_size=32, hidden_dim=32,
            encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
            num_queries=5,
        )
    )  # fmt: skip


def eomt(classes: dict[int, str]) -> PreTrainedModel:
    return EomtForUniversalSegmentation(
        EomtConfig(
            id2label=classes, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=96, patch_size=16,
            num_blocks=1, num_queries=5,
        )
    )  # fmt: skip


def sapiens2(classes: dict[int, str]) -> PreTrainedModel:
    head = {"upsample_out_channels": [8, 8], "conv_out_channels": [8]}
    return Sapiens2ForSemanticSegmentation(
        Sapiens2Config(
            id2label=classes, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_attention_heads=1, num_first_full_attention_layers=1, num_last_full_attention_layers=1,
            image_size=[128, 96], head_config=head,
        )
    )  # fmt: skip


KINDS: dict[str, Callable[[dict[int, str]], PreTrainedModel]] = {
    "segformer": segformer, "mask2former": mask2former, "eomt": eomt, "sapiens2": sapiens2,
}  # fmt: skip

HEADS = ("classifier", "class_predictor", "decode_head")


def save_tiny(
    folder: Path, kind: str, classes: Sequence[str], preprocessor: dict[str, Any] | None = PREPROCESSOR, seed: int = 0
) -> PreTrainedModel:
    """Save a model and its preprocessor's settings as the hub's folders hold them; return it."""
    torch.manual_seed(seed)
    model = KINDS[kind](dict(enumerate(classes))).eval()
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and any(part in name for part in HEADS):
            torch.nn.init.normal_(weight, std=1.0)  # answers that differ between pixels and classes
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model
