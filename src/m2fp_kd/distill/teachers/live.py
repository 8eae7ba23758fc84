"""Where the soft target of a batch comes from: a frozen network, or what it said earlier, kept in a cache.

Neither is an ``nn.Module``: a teacher stays outside the student's ``state_dict``, outside DDP and outside checkpoints.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.outputs import M2FPOutput, log_parts
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE


class CachedTeacher:
    """Reads the targets that the data loader took from the cache and warped together with the photo."""

    gives = frozenset({"log_parts"})

    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        return TeacherTarget(log_parts=batch["log_parts"], valid=batch["valid"])


class LiveTeacher:
    """Runs the frozen teacher on each batch.

    Args:
        network: an M2FP; it is put in evaluation mode and its gradients are switched off.
        num_parts: P of the label set, without ``Human``.
        size: side of the teacher's input in pixels, a multiple of 32. The student's crops are enlarged to it, where a
            cache shows the teacher whole photos; all it says is resampled to the student's stride-4 grid.
    """

    gives = frozenset({"log_parts", "queries", "features"})

    def __init__(self, network: M2FP, num_parts: int, size: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self.num_parts = num_parts
        self.size = size

    @property
    def channels(self) -> int:
        """Of its features."""
        return self.network.pixel_decoder.mask_features.out_channels

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        images: Tensor = batch["images"].float()
        self.network.to(images.device)
        grid = images.shape[-2] // OUTPUT_STRIDE, images.shape[-1] // OUTPUT_STRIDE
        if images.shape[-1] != self.size:
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        output = self.network(images)
        parts, masks, features = log_parts(output, self.num_parts), output.mask_logits, output.mask_features
        assert features is not None  # an M2FP gives them
        if parts.shape[-2:] != grid:
            parts = _resized(parts.exp(), grid).clamp(min=1e-8).log()
            masks, features = _resized(masks, grid), _resized(features, grid)
        return TeacherTarget(parts, batch["valid"], M2FPOutput(output.class_logits, masks), features)


def _resized(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=grid, mode="bilinear", align_corners=False)
