"""Distillation with separate means over edges and bodies of parts."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.kl import Confidence, divergence, known_confidence, pixel_weights
from m2fp_kd.distill.losses.means import masked_mean, parts_on_grid
from m2fp_kd.distill.losses.term import TeacherTerm, above_zero
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


def boundary(
    part_logits: Tensor,
    log_parts: Tensor,
    weights: Tensor,
    edges: Tensor,
    temperature: float,
    edge_weight: float = 1.0,
    body_weight: float = 1.0,
) -> Tensor:
    """KL to the teacher in a band around the edges of parts, and KL in their bodies, each averaged over its own pixels.

    The idea of Liu et al. 2024, "BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation": edges are
    few pixels but most of the errors, so they have little weight in a mean over all pixels. Both losses are `kl`; the
    paper uses another one for the bodies.

    Args:
        part_logits: student, ``(B, P, h, w)``.
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        weights: weights of the pixels in the means, ``(B, h, w)``: bool, or floats >= 0; 0 outside the photo.
        edges: bool ``(B, h, w)``, from `edge_band`.
        temperature: > 0.
        edge_weight: weight of the mean over the edges.
        body_weight: weight of the mean over the bodies.
    """
    values = divergence(part_logits, log_parts, temperature)
    return edge_weight * masked_mean(values, weights * edges) + body_weight * masked_mean(values, weights * ~edges)


def edge_band(parts: Tensor, valid: Tensor, width: int) -> Tensor:
    """Mark valid cells with a valid cell of another part within ``width`` rows and columns: bool ``(B, h, w)``.

    Args:
        parts: integer ``(B, h, w)``.
        valid: bool ``(B, h, w)``; the border of the photo is not an edge.
        width: >= 1.
    """
    values = parts[:, None].float()
    outside = ~valid[:, None]
    highest = F.max_pool2d(values.masked_fill(outside, -torch.inf), 2 * width + 1, 1, width)
    lowest = -F.max_pool2d((-values).masked_fill(outside, -torch.inf), 2 * width + 1, 1, width)
    return valid & (highest != lowest)[:, 0]


def labelled_or_likely(parts: Tensor, log_parts: Tensor, ignore_index: int) -> Tensor:
    """Return each cell's label, or the teacher's most probable part for unlabelled cells: int64 ``(B, h, w)``.

    Args:
        parts: integer ``(B, H, W)``; resized to the teacher's grid (nearest).
        log_parts: teacher's log-probabilities, ``(B, P, h, w)``.
        ignore_index: value of unlabelled pixels.
    """
    labels = parts_on_grid(parts, log_parts)
    return torch.where(labels == ignore_index, log_parts.argmax(dim=1), labels)


class Boundary(TeacherTerm):
    """KL averaged separately over edges and bodies of parts; see `boundary`.

    The edges are those of the labels or, for unlabelled pixels, of the teacher's most probable part.
    """

    needs = frozenset({"log_parts"})

    def __init__(
        self,
        labels: LabelSet,
        temperature: float = 4.0,
        width: int = 1,
        edge_weight: float = 1.0,
        body_weight: float = 1.0,
        confidence: Confidence | None = None,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"the width of an edge must be at least 1 cell, not {width}")
        self.ignore_index = labels.ignore_index
        self.width = width
        self.settings = above_zero(temperature), edge_weight, body_weight
        self.confidence = known_confidence(confidence)

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        parts = labelled_or_likely(batch["parts"], target.log_parts, self.ignore_index)
        edges = edge_band(parts, target.valid, self.width)
        weights = pixel_weights(target.log_parts, target.valid, self.confidence)
        return boundary(output.part_logits, target.log_parts, weights, edges, *self.settings)
