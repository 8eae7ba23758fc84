"""Cross-entropy with the labels."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


def ce(part_logits: Tensor, parts: Tensor, ignore_index: int) -> Tensor:
    """Cross-entropy at the label's size, averaged over the labelled pixels (0 without any).

    Args:
        part_logits: ``(B, P, h, w)`` at stride 4; resized to the label's size, bilinear.
        parts: integer ``(B, H, W)``.
        ignore_index: value of the pixels that are left out.
    """
    logits = F.interpolate(part_logits.float(), size=parts.shape[-2:], mode="bilinear", align_corners=False)
    values = F.cross_entropy(logits, parts.long(), ignore_index=ignore_index, reduction="none")
    return masked_mean(values, parts != ignore_index)


class Ce(Term):
    """Cross-entropy with the labels; see `ce`."""

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return ce(output.part_logits, batch["parts"], self.ignore_index)
