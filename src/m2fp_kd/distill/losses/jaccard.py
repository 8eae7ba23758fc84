"""Smooth intersection over union with the labels."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean, parts_on_grid
from m2fp_kd.distill.losses.part_sets import possible_parts
from m2fp_kd.distill.losses.processes import of_all_processes, sum_of_processes
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


def jaccard(part_logits: Tensor, parts: Tensor, ignore_index: int) -> Tensor:
    """1 - soft intersection over union, averaged over the parts present in the batch: a smooth mIoU.

    Rahman & Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", equations
    3-5, with sums over the whole batch of all processes. Large parts dominate cross-entropy; this term weights all
    parts alike.

    Args:
        part_logits: ``(B, P, h, w)``.
        parts: integer ``(B, H, W)``; resized to the logits' size (nearest).
        ignore_index: value of the pixels that are left out.
    """
    labels = parts_on_grid(parts, part_logits)
    valid = (labels != ignore_index)[:, None]
    probabilities = part_logits.float().softmax(dim=1) * valid
    truth = F.one_hot(labels.masked_fill(~valid[:, 0], 0), part_logits.shape[1]).movedim(-1, 1) * valid
    maps = probabilities * truth, probabilities + truth - probabilities * truth, truth
    intersection, union, count = sum_of_processes(torch.stack([values.sum(dim=(0, 2, 3)) for values in maps]))
    return masked_mean(1 - intersection / union.clamp(min=1e-6), count > 0)


def jaccard_of_sets(
    part_logits: Tensor, parts: Tensor, ignore_index: int, source: Tensor, sets: Tensor, counts_as: Tensor
) -> Tensor:
    """`jaccard` over the labels of each source, averaged over the labels present in the batch that parts count as.

    In a pixel, the probability of the parts that its label can be counts as this label. The rest counts as the labels
    that its parts count as. If the labels of all photos are the parts themselves, this is `jaccard`.

    Args:
        part_logits: ``(B, P, h, w)``.
        parts: labels of each photo's source, integer ``(B, H, W)``; resized to the logits' size (nearest).
        ignore_index: value of the pixels that are left out.
        source: number of each photo's source, ``(B,)``.
        sets: bool ``(B, L, P)``, the parts that each label of the photo's source can be.
        counts_as: int64 ``(B, P)``, the label that a wrong part counts as.
    """
    labels = parts_on_grid(parts, part_logits)
    valid = labels != ignore_index
    probabilities = part_logits.float().softmax(dim=1) * valid[:, None]
    possible = possible_parts(labels, sets, ignore_index)
    right = (probabilities * possible).sum(dim=1)
    wrong = (probabilities * ~possible).sum(dim=(2, 3))
    truth = F.one_hot(labels.masked_fill(~valid, 0), sets.shape[1]).movedim(-1, 1) * valid[:, None]
    count = truth.sum(dim=(2, 3)).float()
    intersection = (truth * right[:, None]).sum(dim=(2, 3))
    counted = F.one_hot(counts_as, sets.shape[1])
    union = count + (wrong[:, :, None] * counted).sum(dim=1)
    count, intersection, union = of_all_processes(torch.stack([count, intersection, union], dim=1)).unbind(dim=1)
    source, counted = of_all_processes(source), of_all_processes(counted.any(dim=1))
    # Sums over the photos of each photo's source; no matrix product, which autocast would compute in bfloat16.
    same = (source[:, None] == source)[:, :, None]
    count, intersection, union = ((same * values).sum(dim=1) for values in (count, intersection, union))
    # Each source once, not once for each of its photos; a label that no part counts as has a recall only.
    weights = (count > 0) * counted / same.sum(dim=1)
    return masked_mean(1 - intersection / union.clamp(min=1e-6), weights)


class Jaccard(Term):
    """Smooth mIoU with the labels; see `jaccard`."""

    any_labels = True

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        if "sets" not in batch:
            return jaccard(output.part_logits, batch["parts"], self.ignore_index)
        tables = (batch[name] for name in ("source", "sets", "counts_as"))
        return jaccard_of_sets(output.part_logits, batch["parts"], self.ignore_index, *tables)
