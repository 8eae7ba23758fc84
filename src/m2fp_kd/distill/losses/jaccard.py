"""Smooth intersection over union with the labels."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean, parts_on_grid
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


def jaccard(part_logits: Tensor, parts: Tensor, ignore_index: int) -> Tensor:
    """1 - soft intersection over union, averaged over the parts present in the batch: a smooth mIoU.

    Rahman & Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", equations
    3-5, with sums over the whole batch. Large parts dominate cross-entropy; this term weights all parts alike.

    Args:
        part_logits: ``(B, P, h, w)``.
        parts: integer ``(B, H, W)``; resized to the logits' size (nearest).
        ignore_index: value of the pixels that are left out.
    """
    labels = parts_on_grid(parts, part_logits)
    valid = (labels != ignore_index)[:, None]
    probabilities = part_logits.float().softmax(dim=1) * valid
    truth = F.one_hot(labels.masked_fill(~valid[:, 0], 0), part_logits.shape[1]).movedim(-1, 1) * valid
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    union = (probabilities + truth - probabilities * truth).sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    return masked_mean(1 - intersection / union.clamp(min=1e-6), present)


class Jaccard(Term):
    """Smooth mIoU with the labels; see `jaccard`."""

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return jaccard(output.part_logits, batch["parts"], self.ignore_index)
