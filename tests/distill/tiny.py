"""Networks that fit into a unit test."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.m2fp import M2FP, build_m2fp
from m2fp_kd.models.outputs import M2FPOutput

TINY = {
    "width": 32, "mask_width": 32, "queries": 8, "encoder_layers": 1, "decoder_layers": 1, "heads": 2,
    "encoder_feedforward": 16, "decoder_feedforward": 16,
}  # fmt: skip


def tiny_m2fp(num_classes: int = 21, seed: int = 0) -> M2FP:
    """Return an untrained M2FP."""
    torch.manual_seed(seed)
    return build_m2fp(build_backbone("mobilenetv3_small"), num_classes, **TINY)


class RedIsHat(nn.Module):
    """Stand-in for an M2FP: a cell of 4 x 4 pixels is a hat where red is above half, else background."""

    def __init__(self) -> None:
        super().__init__()
        self.certainty = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: Tensor) -> M2FPOutput:
        features = F.avg_pool2d(images, 4)
        red = (features[:, :1] - 127.5) / 4
        classes = 50 * torch.eye(2, LABEL_SETS["cihp"].num_classes + 1)[None].expand(len(images), -1, -1)
        return M2FPOutput(classes, torch.cat([-red, red], dim=1), mask_features=features)
