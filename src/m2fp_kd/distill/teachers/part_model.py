"""One frozen network of a teacher, of any kind: RGB images in, log parts of its own label set out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from m2fp_kd.data.bridging import cross
from m2fp_kd.distill.teachers.resample import logarithm
from m2fp_kd.labels import Bridge, LabelSet
from m2fp_kd.models.outputs import StudentOutput, as_student_output
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import TeacherCard


@dataclass(eq=False)
class PartModel:
    """A frozen network with what a teacher needs to know about it.

    Attributes:
        network: maps RGB images 0..255 (B, 3, H, W), H and W multiples of 32, to a `StudentOutput` or an `M2FPOutput`;
            it is put in evaluation mode and its gradients are switched off.
        labels: label set of the network.
        geometry: placement of whole photos on its square canvas. Crops are resampled to the canvas.
        bridge: conversion from its label set to the student's, if they differ.
        card: facts about the network.
    """

    network: nn.Module
    labels: LabelSet
    geometry: Geometry
    bridge: Bridge | None = None
    card: TeacherCard = field(default_factory=TeacherCard)

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Device of the network's tensors; the CPU for a network that has none."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @property
    def student_labels(self) -> LabelSet:
        """Label set behind the bridge."""
        return self.bridge.student if self.bridge else self.labels

    def __call__(self, images: Tensor) -> StudentOutput:
        """Return the output for images (B, 3, H, W), whose `part_logits` are log parts over the network's own parts."""
        output = as_student_output(self.network(images), self.labels.num_parts)
        if output.queries is None:
            output.part_logits = output.part_logits.float().log_softmax(dim=1)
        return output

    def to_student(self, log_parts: Tensor) -> Tensor:
        """Convert log parts (B, P, h, w) over the network's own parts to the student's parts."""
        return log_parts if self.bridge is None else cross(log_parts, self.bridge)


def mean_log_parts(answers: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean probability of log parts (B, P, h, w); a single answer is not changed."""
    return answers[0] if len(answers) == 1 else logarithm(torch.stack([answer.exp() for answer in answers]).mean(dim=0))
