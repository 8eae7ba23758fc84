"""Labels of other data sets as sets of the student's parts.

A batch of a mix has labels of its photos' sources in ``parts``, and beside them for every photo ``source``, int64
``(B,)``, the number of its source, ``sets``, bool ``(B, L, P)``, the parts that each label of the source can be, and
``counts_as``, int64 ``(B, P)``, the label that a wrong part counts as.
"""

import torch
from torch import Tensor

LEAST = 1e-12
"""Smallest probability of a label, so that every part can be divided among its labels."""


def possible_parts(labels: Tensor, sets: Tensor, ignore_index: int) -> Tensor:
    """Return the parts that each pixel can be: bool ``(B, P, H, W)``; those of label 0 where pixels are ignored.

    Args:
        labels: labels of each photo's source, integer ``(B, H, W)``.
        sets: bool ``(B, L, P)``.
        ignore_index: value of unlabelled pixels.
    """
    rows = labels.masked_fill(labels == ignore_index, 0).long()
    photos = torch.arange(len(rows), device=rows.device)[:, None, None]
    return sets[photos, rows].movedim(-1, 1)


def in_labels(part_logits: Tensor, log_labels: Tensor, sets: Tensor) -> Tensor:
    """Express the student's part distribution in the labels of a source, to compare it with a teacher's.

    The probability of a part that several labels can be is divided among them in proportion to the teacher's
    probabilities: a sleeve is torso or arm where the teacher finds one. The shares are constants in the gradient.
    Where no part belongs to two labels, this is the sum over the parts of each label.

    Args:
        part_logits: student, ``(N, P, h, w)``.
        log_labels: teacher's log-probabilities of the labels, ``(N, L, h, w)``.
        sets: bool ``(L, P)``, the parts that each label can be.

    Returns:
        Log-probabilities of the labels, float32 ``(N, L, h, w)``.
    """
    with torch.autocast(part_logits.device.type, enabled=False):
        table = sets.float()
        parts = part_logits.float().softmax(dim=1)
        labels = log_labels.detach().float().exp().clamp(min=LEAST)
        of_part = torch.einsum("nlhw,lp->nphw", labels, table)
        mass = labels * torch.einsum("nphw,lp->nlhw", parts / of_part, table)
        return mass.clamp(min=LEAST).log().log_softmax(dim=1)
