"""Sources of the soft target of a batch: frozen networks, or their answers read from a cache.

Neither is an ``nn.Module``: a teacher stays outside the student's ``state_dict``, outside DDP and outside checkpoints.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from m2fp_kd.distill.teachers.part_model import PartModel, mean_log_parts
from m2fp_kd.distill.teachers.resample import resample, resample_log_parts
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput
from m2fp_kd.runtime.geometry import OUTPUT_STRIDE

LEAST_PROBE = 64
"""Smallest side of the canvas that shows what a network gives: M2FP's GroupNorm refuses one cell of one photo."""


class CachedTeacher:
    """Read the targets that the data loader took from the cache and warped together with the photo.

    The cache applies a bridge to another label set on reading.
    """

    gives = frozenset({"log_parts"})
    channels = None

    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        return TeacherTarget(log_parts=batch["log_parts"], valid=batch["valid"])


class LiveTeacher:
    """Run one or several frozen networks on each batch.

    The student's crops are resampled to each network's canvas (a cached teacher saw whole photos instead); the answers
    are resampled to the student's stride-4 grid. Probabilities of several networks are averaged after their bridges.

    Args:
        models: the networks. A single one also gives its features, and its queries unless a bridge leads to the
            student's parts, since the queries' classes are the network's own parts.

    Attributes:
        gives: fields of the target that are not None.
        channels: number of channels of the features; None without features.
    """

    def __init__(self, models: Sequence[PartModel]) -> None:
        self.models = list(models)
        self.gives = frozenset({"log_parts"})
        self.channels: int | None = None
        if len(self.models) == 1:
            self._find_fields(self.models[0])

    @torch.no_grad()
    def _find_fields(self, model: PartModel) -> None:
        """Run a black canvas to find out what the network gives."""
        side = max(model.geometry.size, LEAST_PROBE)
        output = model(torch.zeros(1, 3, side, side, device=model.device))
        if output.features is not None:
            self.gives |= {"features"}
            self.channels = output.features.shape[1]
        if output.queries is not None and model.bridge is None:
            self.gives |= {"queries"}

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        images: Tensor = batch["images"].float()
        grid = images.shape[-2] // OUTPUT_STRIDE, images.shape[-1] // OUTPUT_STRIDE
        outputs = [self._output(model, images) for model in self.models]
        parts = mean_log_parts(
            [
                model.to_student(resample_log_parts(output.part_logits, grid))
                for model, output in zip(self.models, outputs, strict=True)
            ]
        )
        target = TeacherTarget(parts, batch["valid"])
        if "features" in self.gives:
            target.features = resample(outputs[0].features, grid)  # type: ignore[arg-type]
        if "queries" in self.gives:
            queries = outputs[0].queries
            assert queries is not None
            target.queries = M2FPOutput(queries.class_logits, resample(queries.mask_logits, grid))
        return target

    def _output(self, model: PartModel, images: Tensor) -> StudentOutput:
        model.network.to(images.device)
        return model(resample(images, (model.geometry.size, model.geometry.size)))
