"""Cross-entropy with the labels."""

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.part_sets import possible_parts
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


def ce(part_logits: Tensor, parts: Tensor, ignore_index: int, sets: Tensor | None = None) -> Tensor:
    """Cross-entropy at the label's size, averaged over the labelled pixels (0 without any).

    With ``sets``, it is the cross-entropy of the set of parts that a label can be: the negative logarithm of their
    summed probability (learning from partial labels; Cour et al. 2011 compare it with other losses). Every part of the
    set gets a share of the gradient in proportion to its present probability.

    Args:
        part_logits: ``(B, P, h, w)`` at stride 4; resized to the label's size, bilinear.
        parts: integer ``(B, H, W)``: parts, or with ``sets`` the labels of each photo's source.
        ignore_index: value of the pixels that are left out.
        sets: bool ``(B, L, P)``, the parts that each label of the photo's source can be; None if they are the parts.
    """
    logits = F.interpolate(part_logits.float(), size=parts.shape[-2:], mode="bilinear", align_corners=False)
    if sets is None:
        values = F.cross_entropy(logits, parts.long(), ignore_index=ignore_index, reduction="none")
    else:
        possible = logits.masked_fill(~possible_parts(parts, sets, ignore_index), -math.inf)
        values = logits.logsumexp(dim=1) - possible.logsumexp(dim=1)
    return masked_mean(values, parts != ignore_index)


class Ce(Term):
    """Cross-entropy with the labels; see `ce`."""

    any_labels = True

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return ce(output.part_logits, batch["parts"], self.ignore_index, batch.get("sets"))
