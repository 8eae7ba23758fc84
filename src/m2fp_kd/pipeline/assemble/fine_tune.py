"""Fine-tune between the steps of compression, with the run's own data, teacher and objective."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig, open_dict
from pytorch_lightning import Callback
from torch import nn

from m2fp_kd.checkpoints.best import load_best
from m2fp_kd.compress.photos import training_canvases
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.training.fit import fit
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.teacher import Teacher


class FineTuner:
    """Fine-tune a network with the loss that it was distilled with.

    Args:
        cfg: configuration of the run.
        datamodule: photos of the run, with the teacher's cache if it has one.
        teacher: teacher to learn from.
    """

    def __init__(self, cfg: DictConfig, datamodule: ParsingDataModule, teacher: Teacher) -> None:
        self.cfg = cfg
        self.datamodule = datamodule
        self.teacher = teacher
        self.size = datamodule.geometry.size

    def __call__(
        self, student: nn.Module, name: str, epochs: int, lr_scale: float, callbacks: Sequence[Callback] = ()
    ) -> float:
        """Train ``student`` in place, load its best epoch's weights, and return their validation mIoU (0..1).

        The state is saved in ``RUN/NAME/``: an interrupted training is resumed, a finished one is not repeated.

        Args:
            student: network to train.
            name: name of the training's folder in the run's folder.
            epochs: number of epochs.
            lr_scale: factor on the run's learning rate.
            callbacks: callbacks in addition to the usual ones.
        """
        cfg = self.cfg.copy()
        with open_dict(cfg):
            cfg.run_dir = str(Path(self.cfg.run_dir) / name)
            cfg.ckpt_path = "last"
            cfg.lr = lr_scale * self.cfg.lr
            # The epochs alone end a fine-tuning, and the last of them is validated.
            every = min(epochs, cfg.trainer.get("check_val_every_n_epoch", 1))
            cfg.trainer.update(max_epochs=epochs, max_steps=-1, max_time=None, check_val_every_n_epoch=every)
            cfg.logger = {"csv": self.cfg.logger.csv}
        module = self._module(student, cfg)
        fit(cfg, module, self._data(), callbacks)
        score = load_best(student, Path(cfg.run_dir) / "checkpoints")
        student.eval()
        return score

    def gradients(self, student: nn.Module, batches: int) -> None:
        """Accumulate the gradients of the loss over this many training batches in ``student``'s parameters.

        The statistics of its BatchNorms do not change.
        """
        module, data = self._module(student, self.cfg), self._data()
        data.setup()
        student.eval()
        student.zero_grad()
        torch.manual_seed(self.cfg.seed)  # mask losses sample points; a resumed run must prune the same channels
        for batch in islice(data.train_dataloader(), batches):
            module.loss(batch)[0].backward()

    def canvases(self, count: int) -> Iterator[NDArray[np.uint8]]:
        """Yield ``count`` training photos, placed as in validation: uint8 (1, h, w, 3) each."""
        return training_canvases(self.datamodule)(count)

    def _module(self, student: nn.Module, cfg: DictConfig) -> Distillation:
        own = cfg.teacher.terms if isinstance(student, M2FP) else cfg.student.terms
        terms: Mapping[str, Any] = {**instantiate(cfg.distill.terms), **instantiate(own)}
        return build_module(cfg, student, terms, self.datamodule, self.teacher.source, self.teacher.own)

    def _data(self) -> ParsingDataModule:
        """Return a new data module, because a used one remembers where its last training stopped."""
        data = instantiate(self.cfg.data.module)
        data.cache = self.datamodule.cache
        return data
