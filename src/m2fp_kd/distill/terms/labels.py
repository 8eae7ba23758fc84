"""Terms that learn from labels alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from m2fp_kd.distill.losses.hard_parts import hard_parts, soft_jaccard
from m2fp_kd.distill.mask_loss import MatchedMaskLoss
from m2fp_kd.distill.mask_targets import mask_targets
from m2fp_kd.distill.objective import TeacherTarget, Term
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class HardParts(Term):
    """Cross-entropy with the labels; see `hard_parts`."""

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return hard_parts(output.part_logits, batch["parts"], self.ignore_index)


class SoftJaccard(Term):
    """Smooth mIoU with the labels; see `soft_jaccard`."""

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.ignore_index = labels.ignore_index

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        return soft_jaccard(output.part_logits, batch["parts"], self.ignore_index)


class MatchedMasks(Term):
    """Mask2Former's matched mask-classification loss, its three components weighted as in the paper."""

    needs = frozenset({"student.queries"})

    def __init__(self, labels: LabelSet, num_points: int = 12544) -> None:
        super().__init__()
        self.labels = labels
        self.loss = MatchedMaskLoss(num_points)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        humans = batch.get("humans", [None] * len(batch["parts"]))
        instances = batch.get("instances", [None] * len(batch["parts"]))
        targets = [
            mask_targets(parts, human, instance, self.labels)
            for parts, human, instance in zip(batch["parts"], humans, instances, strict=True)
        ]
        return self.loss.total(self.loss(output.queries, targets))


class PixelParts(Term):
    """Cross-entropy of a linear read-out of the mask features: a short path for the gradient while queries are young.

    The read-out trains with the objective and is not part of the network that is saved.
    """

    needs = frozenset({"student.features"})

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        self.num_parts = labels.num_parts
        self.ignore_index = labels.ignore_index
        self.read_out: nn.Module = nn.Identity()

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        self.read_out = nn.Conv2d(student_channels, self.num_parts, kernel_size=1)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        features = output.features
        assert isinstance(features, torch.Tensor)  # Objective.check has seen to it
        return hard_parts(self.read_out(features), batch["parts"], self.ignore_index)
