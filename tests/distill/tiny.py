"""An untrained M2FP that fits into a unit test."""

import torch

from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.m2fp import M2FP, build_m2fp

TINY = {
    "width": 32, "mask_width": 32, "queries": 8, "encoder_layers": 1, "decoder_layers": 1, "heads": 2,
    "encoder_feedforward": 16, "decoder_feedforward": 16,
}  # fmt: skip


def tiny_m2fp(num_classes: int = 21, seed: int = 0) -> M2FP:
    torch.manual_seed(seed)
    return build_m2fp(build_backbone("mobilenetv3_small"), num_classes, **TINY)
