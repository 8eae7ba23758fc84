"""Distillation and segmentation losses as pure functions: tensors in, one scalar tensor out, float32 inside."""

import torch.nn.functional as F
from torch import Tensor


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``values`` where ``valid`` is true; 0 (with a gradient of 0) where nothing is.

    A mean over pixels, not over the batch, keeps a loss independent of the photo's area.
    """
    weights = valid.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def soft_parts(part_logits: Tensor, log_parts: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the student's part distribution from the teacher's, per pixel, times T².

    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2, applied to each pixel. T² keeps the
    size of the gradient when the temperature changes. The teacher's ``log_parts / T``, renormalised, is its
    distribution at temperature T, since a distribution is the softmax of its own logarithm.

    Args:
        part_logits: student, ``(B, P, h, w)``.
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        valid: bool ``(B, h, w)``; pixels outside the photo are left out.
        temperature: > 0.
    """
    student = F.log_softmax(part_logits.float() / temperature, dim=1)
    teacher = F.log_softmax(log_parts.float() / temperature, dim=1)
    divergence = (teacher.exp() * (teacher - student)).sum(dim=1)
    return temperature**2 * masked_mean(divergence, valid)


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
    size = part_logits.shape[-2:]
    labels = F.interpolate(parts[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
    valid = (labels != ignore_index)[:, None]
    probabilities = part_logits.float().softmax(dim=1) * valid
    truth = F.one_hot(labels.masked_fill(~valid[:, 0], 0), part_logits.shape[1]).movedim(-1, 1) * valid
    intersection = (probabilities * truth).sum(dim=(0, 2, 3))
    union = (probabilities + truth - probabilities * truth).sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    return masked_mean(1 - intersection / union.clamp(min=1e-6), present)
