"""Distillation of a mask-classification teacher's queries to the student's queries."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.term import TeacherTerm, given
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput

_EMPTY = 1e-4
"""Smoothing of the dice distance: about the share of the photo below which a mask's distance vanishes."""


def query(
    student: M2FPOutput,
    teacher: M2FPOutput,
    valid: Tensor,
    one_to_one: bool = False,
    class_weight: float = 2.0,
    mask_weight: float = 5.0,
    dice_weight: float = 5.0,
) -> Tensor:
    """Class, mask and dice distance of paired queries, averaged with the certainty of the teacher's query as weight.

    The student's queries have their own order, so pairs are the cheapest one-to-one assignment under this loss, as in
    DETR's matching (Li et al. 2024, "Knowledge Distillation for Efficient Instance Semantic Segmentation
    with Transformers"; Chang et al. 2023, "DETRDistill", section 3.2). If the student has fewer queries, the
    teacher's most certain ones are paired. The weight of a pair is 1 - p("no object") of the teacher's query, since
    queries without an object are noise. The student's last decoder layer is compared.

    Args:
        student: queries ``(B, Q, C + 1)`` and ``(B, Q, h, w)``.
        teacher: queries ``(B, R, C + 1)`` and ``(B, R, h, w)``.
        valid: bool ``(B, h, w)``; pixels outside the photo are left out.
        one_to_one: pair the queries in order, for a student that was initialised with the teacher's queries.
        class_weight: weight of KL(teacher || student) over the C + 1 classes.
        mask_weight: weight of the pixels' mean KL between the masks' probabilities (binary cross-entropy with soft
            targets, less the targets' own entropy).
        dice_weight: weight of the dice distance of the masks' probabilities.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: the classes differ, or ``one_to_one`` is set and the numbers of queries differ.
        FloatingPointError: logits are NaN or infinite.
    """
    ours, theirs = student.class_logits.shape, teacher.class_logits.shape
    if ours[-1] != theirs[-1]:
        raise ValueError(
            f"the student's queries have {ours[-1] - 1} classes, the teacher's {theirs[-1] - 1}; "
            "use a teacher of the data's label set"
        )
    if one_to_one and ours[1] != theirs[1]:
        raise ValueError(
            f"{ours[1]} queries of the student and {theirs[1]} of the teacher cannot be paired in order; "
            f"use student.network.queries={theirs[1]}, or distill.terms.query.term.one_to_one=false"
        )
    certainty = 1 - teacher.class_logits.detach().float().softmax(dim=-1)[..., -1]
    # Autocast would round products of matrices to bfloat16.
    with torch.autocast(valid.device.type, enabled=False):
        classes, masks, dice = query_distances(student, teacher, valid)
        distance = class_weight * classes + mask_weight * masks + dice_weight * dice
        if one_to_one:
            return masked_mean(distance.diagonal(dim1=1, dim2=2), certainty)
        photo, query, target = _assign(distance.detach(), certainty)
        return masked_mean(distance[photo, query, target], certainty[photo, target])


def query_distances(student: M2FPOutput, teacher: M2FPOutput, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distances of the student's queries to the teacher's: three ``(B, Q, R)``, >= 0, 0 for equal queries.

    They are the KL over classes; the pixels' mean KL between masks m and s as Bernoulli distributions; and the dice
    distance 1 - 2 mean(m s) / (mean(m²) + mean(s²)) (Milletari et al. 2016, "V-Net", section 3), with an epsilon added
    to numerator and denominator for empty masks.
    """
    ours = student.class_logits.float().log_softmax(dim=-1)
    theirs = teacher.class_logits.detach().float().log_softmax(dim=-1)
    classes = (theirs.exp() * theirs).sum(dim=-1)[:, None] - ours @ theirs.exp().mT

    inside = valid.flatten(1)[:, :, None].float()
    pixels = inside.sum(dim=1, keepdim=True).clamp(min=1)
    logits = student.mask_logits.float().flatten(2)
    wanted = teacher.mask_logits.detach().float().flatten(2)
    soft = wanted.sigmoid() * inside.mT
    # ln(1 + e^x) - m x is the cross-entropy of a mask's pixel; with the logit x of m itself, it is the entropy.
    entropy = (F.softplus(wanted) @ inside - (soft * wanted).sum(dim=-1, keepdim=True)).mT
    masks = (F.softplus(logits) @ inside - logits @ soft.mT - entropy) / pixels

    probability = logits.sigmoid()
    squares = (probability.square() @ inside + (wanted.sigmoid().square() @ inside).mT) / pixels
    dice = 1 - (2 * (probability @ soft.mT) / pixels + _EMPTY) / (squares + _EMPTY)
    return classes, masks, dice


def _assign(distance: Tensor, certainty: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the cheapest pairs of all photos: photo, student's query and teacher's query, each (K,).

    Args:
        distance: ``(B, Q, R)``.
        certainty: ``(B, R)``; if R > Q, the teacher's most certain queries are paired.
    """
    if not distance.isfinite().all():
        raise FloatingPointError(
            "a distance between queries is NaN or infinite because class or mask logits are: "
            "lower the learning rate, clip gradients or train in float32"
        )
    most_certain = certainty.topk(min(distance.shape[1:]), dim=1).indices.cpu()
    pairs = []
    for photo, (costs, chosen) in enumerate(zip(distance.cpu(), most_certain, strict=True)):
        query, column = (torch.from_numpy(index) for index in linear_sum_assignment(costs[:, chosen].numpy()))
        pairs.append(torch.stack([torch.full_like(query, photo), query, chosen[column]]))
    photo, query, target = torch.cat(pairs, dim=1).to(distance.device)
    return photo, query, target


class Query(TeacherTerm):
    """Distance of the student's queries to the teacher's; see `query`."""

    needs = frozenset({"queries", "student.queries"})

    def __init__(
        self,
        labels: LabelSet,
        one_to_one: bool = False,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
    ) -> None:
        super().__init__()
        self.settings = one_to_one, class_weight, mask_weight, dice_weight

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        return query(given(output.queries), given(target.queries), target.valid, *self.settings)
