"""Pretraining of a backbone: it learns the features of a frozen network on photos without labels."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from m2fp_kd.distill.losses.feature import feature
from m2fp_kd.distill.losses.processes import sum_of_processes
from m2fp_kd.distill.teachers.resample import resample
from m2fp_kd.distill.training.depthwise import FastDepthwise
from m2fp_kd.distill.training.module import require_finite
from m2fp_kd.distill.training.schedule import parameter_groups
from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.feature_teacher import STRIDES, FeatureTeacher
from m2fp_kd.models.normalise import Normalise

MONITOR = "val/correlation"


class FeaturePretraining(pl.LightningModule):
    """Train a backbone to predict a teacher's features at strides 8, 16 and 32, each through a 1x1 projection.

    The loss is the sum over the strides of `feature` along "channel": 1 - Pearson's correlation of the two maps of a
    channel over all valid cells of the batch. It logs ``train/loss``, 0..6, and on the validation photos the mean
    correlation over channels and batches, -1..1: ``val/correlation/STRIDE`` and their mean ``val/correlation``.

    Args:
        backbone: backbone to train.
        teacher: frozen network.
        optimizer: partial that takes parameter groups.
        schedule: partial that takes the optimiser and ``total_steps``.
        lr: learning rate.
        weight_decay: weight decay of parameters with more than one axis.
        seed: seed that determines, together with the step, every random draw on the device.
    """

    def __init__(
        self,
        backbone: Backbone,
        teacher: FeatureTeacher,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.student = backbone.to(memory_format=torch.channels_last).train()
        self.normalise = Normalise()
        self.teacher = teacher
        # A correlation ignores a constant, so the projections need no bias.
        self.projections = nn.ModuleList(
            nn.Conv2d(ours, theirs, kernel_size=1, bias=False)
            for ours, theirs in zip(backbone.channels[1:], teacher.channels, strict=True)
        )
        self.optimizer = optimizer
        self.schedule = schedule
        self.lr = lr
        self.weight_decay = weight_decay
        self.seed = seed

    def losses(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """Return the loss of each stride, 0..2; cells with less than half of their area on the photo are left out.

        Args:
            batch: ``images`` RGB 0..255 ``(B, 3, H, W)`` and ``valid`` bool ``(B, H / 4, W / 4)``.
        """
        images = batch["images"].float().contiguous(memory_format=torch.channels_last)
        with FastDepthwise() if torch.is_autocast_enabled("cpu") else nullcontext():
            levels = self.student(self.normalise(images))[1:]
            targets = self.teacher(images)
        losses = []
        for projection, level, target in zip(self.projections, levels, targets, strict=True):
            grid = (level.shape[-2], level.shape[-1])
            valid = F.interpolate(batch["valid"][:, None].float(), grid, mode="area")[:, 0] >= 0.5
            losses.append(feature(projection(level), resample(target, grid), valid, along="channel"))
        return losses

    def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
        # One seed per step: a resumed run's draws do not depend on those before the interruption.
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)
        loss = torch.stack(self.losses(batch)).sum()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["images"]))
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        require_finite(self)

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        counted = torch.tensor(batch["counted"], device=self.device)
        correlations = 1 - torch.stack(self.losses({**batch, "valid": batch["valid"] & counted[:, None, None]}))
        scores = {f"{MONITOR}/{stride}": value for stride, value in zip(STRIDES, correlations, strict=True)}
        # Lightning divides by the mean of the processes' sizes, which it rounds down: each gives that of all.
        size = int(sum_of_processes(counted.sum()))
        self.log(MONITOR, correlations.mean(), prog_bar=True, batch_size=size, sync_dist=True)
        self.log_dict(scores, batch_size=size, sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(parameter_groups(self, self.lr, self.weight_decay, backbone_scale=1.0))
        schedule = self.schedule(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
