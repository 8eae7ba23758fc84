"""Sources of the soft target of a batch: a frozen network, or its answers read from a cache.

Neither is an ``nn.Module``: a teacher stays outside the student's ``state_dict``, outside DDP and outside checkpoints.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from m2fp_kd.data.bridging import cross
from m2fp_kd.distill.teachers.resample import resample, resample_log_parts
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import Bridge
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.outputs import M2FPOutput, log_parts
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE


class CachedTeacher:
    """Read the targets that the data loader took from the cache and warped together with the photo.

    The cache applies a bridge to another label set on reading.
    """

    gives = frozenset({"log_parts"})
    channels = None

    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        return TeacherTarget(log_parts=batch["log_parts"], valid=batch["valid"])


class LiveTeacher:
    """Run the frozen teacher on each batch.

    Args:
        network: an M2FP; it is put in evaluation mode and its gradients are switched off.
        num_parts: number of parts of the teacher's label set, without ``Human``.
        size: side of the teacher's input in pixels, a multiple of 32. The student's crops are resampled to it (a
            cached teacher saw whole photos instead); the answer is resampled to the student's stride-4 grid.
        bridge: conversion from the teacher's label set to the student's, if they differ. The target then has no
            queries, since their classes are the teacher's parts, but it has the features.

    Attributes:
        gives: fields of the target that are not None.
    """

    def __init__(self, network: M2FP, num_parts: int, size: int, bridge: Bridge | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.num_parts = num_parts
        self.size = size
        self.bridge = bridge
        self.gives = frozenset({"log_parts", "features"} if bridge else {"log_parts", "features", "queries"})

    @property
    def channels(self) -> int:
        """Number of channels of the teacher's mask features."""
        return self.network.pixel_decoder.mask_features.out_channels

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        images: Tensor = batch["images"].float()
        self.network.to(images.device)
        grid = images.shape[-2] // OUTPUT_STRIDE, images.shape[-1] // OUTPUT_STRIDE
        output = self.network(resample(images, (self.size, self.size)))
        parts = resample_log_parts(log_parts(output, self.num_parts), grid)
        assert output.mask_features is not None  # an M2FP gives them
        features = resample(output.mask_features, grid)
        if self.bridge is not None:
            return TeacherTarget(cross(parts, self.bridge), batch["valid"], features=features)
        queries = M2FPOutput(output.class_logits, resample(output.mask_logits, grid))
        return TeacherTarget(parts, batch["valid"], queries, features)
