"""Losses against the labels."""

import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean


def hard_parts(part_logits: Tensor, parts: Tensor, ignore_index: int) -> Tensor:
    """Cross-entropy at the label's size, mean over the pixels that carry a label (0 where none does).

    Args:
        part_logits: ``(B, P, h, w)`` at stride 4; resized to the label's size, bilinear.
        parts: integer ``(B, H, W)``.
        ignore_index: label of the pixels that are left out.
    """
    logits = F.interpolate(part_logits.float(), size=parts.shape[-2:], mode="bilinear", align_corners=False)
    values = F.cross_entropy(logits, parts.long(), ignore_index=ignore_index, reduction="none")
    return masked_mean(values, parts != ignore_index)


def soft_jaccard(part_logits: Tensor, parts: Tensor, ignore_index: int) -> Tensor:
    """1 - soft intersection over union, mean over the parts present in the batch: what mIoU counts, made smooth.

    Rahman & Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", equations
    3-5, with sums over the whole batch. Cross-entropy is ruled by the large parts; this term weighs every part alike.

    Args:
        part_logits: ``(B, P, h, w)``.
        parts: integer ``(B, H, W)``; brought to the logits' size (nearest).
        ignore_index: label of the pixels that are left out.
    """
    labels = parts_on_grid(parts, part_logits)
    valid = (labels != ignore_index)[:, None]
    probabilities = part_logits.float().softmax(dim=1) * valid
    truth = F.one_hot(labels.masked_fill(~valid[:, 0], 0), part_logits.shape[1]).movedim(-1, 1) * valid
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    union = (probabilities + truth - probabilities * truth).sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    return masked_mean(1 - intersection / union.clamp(min=1e-6), present)


def parts_on_grid(parts: Tensor, like: Tensor) -> Tensor:
    """Part maps ``(B, H, W)`` at the size of ``like`` ``(B, P, h, w)``, nearest neighbour: int64 ``(B, h, w)``."""
    return F.interpolate(parts[:, None].float(), size=like.shape[-2:], mode="nearest-exact")[:, 0].long()
