"""Divergence from the own teachers of a mix's sources, in the labels of each source."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from m2fp_kd.distill.losses.kl import divergence
from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.part_sets import in_labels
from m2fp_kd.distill.losses.term import Term, above_zero
from m2fp_kd.distill.teachers.source_teachers import FIELD, SourceTarget
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class SourceKl(Term):
    """KL to each source's own teacher, in the source's labels: `kl` after `in_labels`, over the sources' pixels."""

    needs = frozenset({FIELD})
    any_labels = True

    def __init__(self, labels: LabelSet, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = above_zero(temperature)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        targets: list[SourceTarget] = batch[FIELD]
        # The empty slices stand for a batch without any target, whose process still takes part in the mean.
        values = [self._divergence(output.part_logits, batch["sets"], one) for one in targets]
        valid = [batch["valid"][one.photos] for one in targets]
        return masked_mean(
            torch.cat([output.part_logits[:0, 0].float(), *values]), torch.cat([batch["valid"][:0], *valid])
        )

    def _divergence(self, part_logits: Tensor, sets: Tensor, target: SourceTarget) -> Tensor:
        table = sets[target.photos[0], : target.log_parts.shape[1]]
        return divergence(
            in_labels(part_logits[target.photos], target.log_parts, table), target.log_parts, self.temperature
        )
