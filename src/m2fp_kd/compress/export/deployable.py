"""Wrap a network for export: one graph from a uint8 canvas to a part map."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.compress.export.attention import GridSampledAttention, SoftmaxAttention
from m2fp_kd.models.attention import Attention, DeformableAttention
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput, as_student_output
from m2fp_kd.models.padded_convolution import PaddedConvolution, PaddingThenConvolution
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, OUTPUT_STRIDE, Geometry

OUTPUTS = {
    "fpn": ("part_map", "part_logits"),
    "m2fp": ("part_map", "part_logits", "class_logits", "mask_logits"),
}
"""Head of the network -> names of the outputs, in order."""

EXPORTABLE = {
    DeformableAttention: GridSampledAttention,
    Attention: SoftmaxAttention,
    PaddedConvolution: PaddingThenConvolution,
}
"""Layer -> its replacement from operations that every format has and that engines and quantisers know."""


class NormaliseCanvases(nn.Module):
    """`Normalise` with the same statistics, for canvases, whose colours are the innermost axis.

    OpenVINO's convolutions want colours innermost too, so it need not transpose images that were normalised in this
    layout; and normalising whole rows avoids vectors of three values. A MobileNetV3 student gains 2 to 7 % of its time
    in OpenVINO.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalise: Normalise) -> None:
        super().__init__()
        self.register_buffer("mean", normalise.mean.flatten())
        self.register_buffer("std", normalise.std.flatten())

    def forward(self, canvases: Tensor) -> Tensor:
        """Normalise canvases, uint8 (N, H, W, 3), to float32 of the same shape."""
        columns = canvases.shape[2]
        return (canvases.float() - self.mean.repeat(columns, 1)) / self.std.repeat(columns, 1)


class Deployable(nn.Module):
    """A student with its pre- and post-processing.

    Part logits are upsampled to the canvas before the argmax. This order is accurate but slow: with 20 parts at 512x512
    and a MobileNetV3 it takes 7 of 30 ms in ONNX Runtime, 14 of 37 ms in OpenVINO's f32 and 4 of 16 ms in its bf16.
    Our runtime takes the logits at stride 4 instead (`runtime.part_map`), and engines then skip these operations. The
    normalisation stays a layer of its own: folded into a zero-padded first convolution it would change the borders.

    Args:
        normalise: maps canvases to the input of the student.
        student: maps normalised images (N, 3, H, W) to a `StudentOutput`.
        head: a key of `OUTPUTS`.
    """

    def __init__(self, normalise: nn.Module, student: nn.Module, head: str) -> None:
        super().__init__()
        if head not in OUTPUTS:
            raise ValueError(f"unknown student head {head!r}; choose one of {', '.join(OUTPUTS)}")
        self.normalise = normalise
        self.student = student
        self.outputs = OUTPUTS[head]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Parse canvases.

        Args:
            images: uint8 (N, H, W, 3) RGB; H and W multiples of 32.

        Returns:
            The tensors named by `outputs`: part_map uint8 (N, H, W), then `logits`.
        """
        part_logits, *queries = self.logits(images)
        upsampled = F.interpolate(part_logits, scale_factor=OUTPUT_STRIDE, mode="bilinear", align_corners=False)
        return upsampled.argmax(dim=1).to(torch.uint8), part_logits, *queries

    def logits(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return all outputs but the part map, which our runtime computes from them.

        Args:
            images: as in `forward`.

        Returns:
            part_logits (N, P, H/4, W/4); of a mask classifier also class_logits (N, Q, C + 1) and mask_logits (N, Q,
            H/4, W/4).
        """
        output = self.student(self.normalise(images).permute(0, 3, 1, 2))
        if (queries := output.queries) is None:
            return (output.part_logits,)
        return part_scores(queries, output.part_logits.shape[1]), queries.class_logits, queries.mask_logits


class M2FPAsStudent(nn.Module):
    """An M2FP with the output of a mask-classification student, so that it can be exported like one.

    Args:
        network: M2FP.
        num_parts: P; its first P classes are the parts.
    """

    def __init__(self, network: M2FP, num_parts: int) -> None:
        super().__init__()
        self.network = network
        self.num_parts = num_parts

    def forward(self, images: Tensor) -> StudentOutput:
        """Map normalised images (N, 3, H, W), H and W multiples of 32, to log parts and their queries."""
        return as_student_output(self.network(images, auxiliary=False), self.num_parts)


def part_scores(queries: M2FPOutput, num_parts: int) -> Tensor:
    """Compute `log_parts` up to a constant at each pixel, which changes neither the argmax nor the softmax.

    It omits the normalisation and the shifts that keep gradients finite, which saves five passes over all masks.

    Returns:
        (B, P, H/4, W/4).
    """
    assert queries.mask_features is not None, "a network's own output has its mask features"
    classes = queries.class_logits.float().softmax(-1)[..., :num_parts]
    masks = queries.mask_logits.float().flatten(2).sigmoid()
    # The exporter can trace sizes to the mask features, but not to the mask logits, which were flattened.
    sums = (classes.transpose(1, 2) @ masks).unflatten(2, queries.mask_features.shape[-2:])
    return sums.clamp_min(torch.finfo(torch.float32).tiny).log()


def deployable(network: nn.Module, card: Card) -> Deployable:
    """Return a copy of a student or an M2FP for export: on the CPU, in eval mode, made of exportable operations.

    Args:
        network: student, or M2FP whose classes begin with the card's parts.
        card: gives the head and, for an M2FP, the parts.
    """
    copied: Any = copy.deepcopy(network).cpu().eval()
    normalise = NormaliseCanvases(copied.normalise)
    copied.normalise = nn.Identity()
    if isinstance(copied, M2FP):
        copied = M2FPAsStudent(copied, card.labels.num_parts)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if type(child) in EXPORTABLE:
                setattr(module, name, EXPORTABLE[type(child)](child))
    return Deployable(normalise, copied, card.head).eval()


def example_canvases(geometry: Geometry) -> Tensor:
    """Return canvases for tracing, uint8 (2, h, w, 3): of the fixed size, or with unequal sides for dynamic sizes."""
    height, width = (geometry.size, geometry.size) if geometry.fixed else (2 * CANVAS_MULTIPLE, 3 * CANVAS_MULTIPLE)
    return torch.zeros(2, height, width, 3, dtype=torch.uint8)
