"""The training module: any network for human parsing, any teacher, any objective."""

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import chain
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics.classification import MulticlassConfusionMatrix

from m2fp_kd.distill.objective import Objective
from m2fp_kd.distill.teachers.source_teachers import FIELD, SourceTeachers
from m2fp_kd.distill.teachers.target import TargetSource
from m2fp_kd.distill.training.depthwise import FastDepthwise
from m2fp_kd.distill.training.schedule import parameter_groups
from m2fp_kd.evaluation.metrics.miou import iou, miou
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.models.outputs import StudentOutput, as_student_output
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.part_map import part_map


def example_output(network: nn.Module, num_parts: int) -> StudentOutput:
    """Return a network's output for a small black photo, which shows its fields and channels.

    The network runs in evaluation mode; its own mode is restored.
    """
    training, device = network.training, next(network.parameters()).device
    with torch.no_grad():
        output = as_student_output(network.eval()(torch.zeros(1, 3, 64, 64, device=device)), num_parts)
    network.train(training)
    return output


def require_finite(module: pl.LightningModule) -> None:
    """Refuse to save weights or statistics that are not finite.

    In mixed precision of 16 bits, a step whose gradients overflow is skipped, but BatchNorms have seen its photos.

    Raises:
        FloatingPointError: a parameter or a buffer is NaN or infinite; the message names the first one.
    """
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        if not torch.isfinite(tensor).all():
            raise FloatingPointError(
                f"{name} is no longer finite at step {module.global_step}: training diverged. Restart with a lower "
                "lr or with trainer.precision=32-true; checkpoints/last.ckpt is the last good epoch"
            )


class Distillation(pl.LightningModule):
    """Train ``student`` on labels, on a teacher's part distributions, or both.

    It logs ``train/loss``, every unweighted term as ``train/<term>``, ``val/mIoU`` (0..1, at the labels' own size, from
    one confusion matrix over the whole set) and ``val/IoU/<part>``. In a mix, every source is scored in its own labels:
    ``val/mIoU/<source>`` and ``val/IoU/<source>/<label>``; ``val/mIoU`` is the mean over the sources.

    Args:
        student: maps RGB images 0..255 ``(B, 3, H, W)`` to a ``StudentOutput`` or ``M2FPOutput``.
        objective: the checked weighted sum of losses.
        labels: label set of the student.
        geometry: placement of validation photos on the canvas.
        optimizer: partial that takes parameter groups.
        schedule: partial that takes the optimiser and ``total_steps``.
        teacher: source of the targets; None trains on labels alone.
        lr: learning rate outside the backbone.
        weight_decay: weight decay of parameters with more than one axis.
        backbone_lr_scale: factor on ``lr`` inside the backbone.
        seed: seed that determines, together with the step, every random draw on the device.
        part_sets: tables of the labels that the photos have, by source; None for the student's own labels.
        source_teachers: teachers that the sources of a mix have for themselves.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        labels: LabelSet,
        geometry: Geometry,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        teacher: TargetSource | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        backbone_lr_scale: float = 1.0,
        seed: int = 0,
        part_sets: Mapping[str, PartSets] | None = None,
        source_teachers: SourceTeachers | None = None,
    ) -> None:
        super().__init__()
        # Channels-last convolutions are up to twice as fast, on CPUs and GPUs.
        # Loaded networks are in evaluation mode, and Lightning does not change a module's mode.
        self.student = student.to(memory_format=torch.channels_last).train()
        self.objective = objective
        self.labels = labels
        self.geometry = geometry
        self.optimizer = optimizer
        self.schedule = schedule
        self.teacher = teacher
        self.lr = lr
        self.weight_decay = weight_decay
        self.backbone_lr_scale = backbone_lr_scale
        self.seed = seed
        self.total_steps = 1  # set when training begins
        self.source_teachers = source_teachers
        self.part_sets = part_sets or {labels.name: PartSets.same(labels)}
        sources = [table.source for table in self.part_sets.values()]
        self.confusions = nn.ModuleList(
            MulticlassConfusionMatrix(source.num_parts, ignore_index=source.ignore_index) for source in sources
        )

    def forward(self, images: Tensor) -> StudentOutput:
        """Return the output for RGB images 0..255 ``(B, 3, H, W)``."""
        images = images.float().contiguous(memory_format=torch.channels_last)
        with FastDepthwise() if torch.is_autocast_enabled("cpu") else nullcontext():
            return as_student_output(self.student(images), self.labels.num_parts)

    def loss(self, batch: Mapping[str, Any], progress: float = 0.0) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the objective of a training batch at ``progress``, 0..1, of the training, and its unweighted terms.

        The teachers run only while a term reads their targets.
        """
        reads = self.objective.reads_teacher(progress)
        target = self.teacher(batch) if self.teacher is not None and reads else None
        if self.source_teachers is not None and reads:
            batch = {**batch, FIELD: self.source_teachers(batch)}
        return self.objective(self(batch["images"]), batch, target, progress)

    def training_step(self, batch: Mapping[str, Any], batch_index: int) -> Tensor:
        # One seed per step: a resumed run's draws do not depend on those before the interruption.
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)
        loss, terms = self.loss(batch, self.global_step / self.total_steps)
        size = len(batch["images"])
        self.log("train/loss", loss, prog_bar=True, batch_size=size)
        self.log_dict({f"train/{name}": value for name, value in terms.items()}, batch_size=size)
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        require_finite(self)

    def on_train_start(self) -> None:
        for confusion in self._confusion_of_source().values():
            confusion.reset()  # remove the photos of the sanity check

    def validation_step(self, batch: Mapping[str, Any], batch_index: int) -> None:
        images = batch["images"]
        logits = self(images).part_logits.detach().float().cpu().numpy()
        confusion = self._confusion_of_source()
        sources = batch.get("sources", list(confusion) * len(images))
        counted = batch.get("counted", [True] * len(images))
        photos = zip(logits, batch["placements"], batch["truth"], sources, counted, strict=True)
        for one, placement, truth, source, counts in photos:
            if not counts:  # it is another process's
                continue
            maps_of_source = self.part_sets[source].in_source(part_map(one, placement), truth)
            confusion[source].update(*(torch.tensor(labels, device=self.device) for labels in maps_of_source))

    def on_validation_epoch_end(self) -> None:
        scores = []
        for name, confusion in self._confusion_of_source().items():
            with warnings.catch_warnings():  # the sanity check may end before a source's first photo
                warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
                matrix = confusion.compute().cpu().numpy()
            confusion.reset()
            table = self.part_sets[name]
            scores.append(miou(matrix, table.scored))
            source = f"/{name}" if len(self.part_sets) > 1 else ""
            if source:
                self.log(f"val/mIoU{source}", scores[-1], sync_dist=True)
            values = iou(matrix)
            for label in table.scored:
                self.log(f"val/IoU{source}/{table.source.parts[label]}", values[label], sync_dist=True)
        found = [score for score in scores if not math.isnan(score)]
        # Every process has the same scores; without sync_dist, Lightning would warn about each.
        self.log("val/mIoU", float(np.mean(found)) if found else math.nan, prog_bar=True, sync_dist=True)

    def _confusion_of_source(self) -> dict[str, MulticlassConfusionMatrix]:
        return dict(zip(self.part_sets, self.confusions, strict=True))  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        groups = parameter_groups(self, self.lr, self.weight_decay, self.backbone_lr_scale)
        optimizer = self.optimizer(groups)
        self.total_steps = int(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer, total_steps=self.total_steps), "interval": "step"},
        }
