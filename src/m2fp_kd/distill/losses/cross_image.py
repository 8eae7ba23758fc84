"""Similarities between cells of different photos, in the features of teacher and student."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.means import masked_mean
from m2fp_kd.distill.losses.term import TeacherTerm, given
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput

_UNSEEN = -1e4  # a similarity with a softmax of 0


def cross_image(student: Tensor, teacher: Tensor, valid: Tensor, cells: int = 16, temperature: float = 0.1) -> Tensor:
    """KL between the rows of the two networks' similarity matrices for every pair of photos.

    Yang et al. 2022, "Cross-Image Relational Knowledge Distillation for Semantic Segmentation" (CIRKD), section 3.2,
    mini-batch pixel-to-pixel: with F_i the unit embeddings of photo i (A, D) and S_ij = F_i F_j^T, the loss is the mean
    over photos i, j and rows a of KL(softmax(S_ij[a] / tau) of the teacher || that of the student). The two networks
    may differ in their number of channels. Embeddings are means over the cells of a coarse grid, so that the cost does
    not grow with the photo. In a distributed training the pairs are those of photos of the same process, since all
    pairs of all processes would need memory in proportion to the square of their number.

    Args:
        student: features ``(B, C, h, w)``.
        teacher: features ``(B, D, h, w)``.
        valid: bool ``(B, h, w)``; a cell is the mean of its valid pixels, and cells without any are left out.
        cells: number of cells of the coarse grid per side, A = cells² (fewer if h or w is smaller).
        temperature: tau, > 0.

    Returns:
        A scalar >= 0; 0 if no pixel is valid.
    """
    # Autocast would round the similarities, a product of matrices, to bfloat16.
    with torch.autocast(student.device.type, enabled=False):
        seen = _coarse(valid[:, None].float(), cells).flatten(1) > 0
        wanted = _similarities(teacher.detach(), valid, cells)
        found = _similarities(student, valid, cells)
        unseen = ~seen[None, :, None, :]
        wanted, found = (
            (values / temperature).masked_fill(unseen, _UNSEEN).log_softmax(dim=-1) for values in (wanted, found)
        )
        divergence = (wanted.exp() * (wanted - found)).sum(dim=-1)
        return masked_mean(divergence, seen[:, None, :] & seen.any(dim=1)[None, :, None])


def _similarities(features: Tensor, valid: Tensor, cells: int) -> Tensor:
    """Return the cosines ``(B, B, A, A)`` of all pairs of cells of all pairs of photos."""
    inside = valid[:, None].float()
    # The mean of the valid pixels up to its length, which the normalisation removes.
    embeddings = F.normalize(_coarse(features.float() * inside, cells), dim=1, eps=1e-4).flatten(2)
    return torch.einsum("ida,jdb->ijab", embeddings, embeddings)


def _coarse(maps: Tensor, cells: int) -> Tensor:
    return F.adaptive_avg_pool2d(maps, (min(cells, maps.shape[-2]), min(cells, maps.shape[-1])))


class CrossImage(TeacherTerm):
    """Similarities between cells of the batch's photos; see `cross_image`."""

    needs = frozenset({"features", "student.features"})

    def __init__(self, labels: LabelSet, cells: int = 16, temperature: float = 0.1) -> None:
        super().__init__()
        if cells < 1 or temperature <= 0:
            raise ValueError(f"cells={cells}, temperature={temperature}: need cells >= 1 and a temperature above 0")
        self.settings = cells, temperature

    def compare(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget) -> Tensor:
        return cross_image(given(output.features), given(target.features), target.valid, *self.settings)
