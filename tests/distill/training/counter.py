"""A training whose only weight counts its steps."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

from m2fp_kd.distill.training.fit import fit
from m2fp_kd.distill.training.module import Distillation

STEPS = 3
"""Steps per epoch."""


class Counter(pl.LightningModule):
    """Increase the only weight by 1 in every step; validate with given scores."""

    on_save_checkpoint = Distillation.on_save_checkpoint  # type: ignore[assignment]

    def __init__(self, scores: tuple[float, ...] = (0.2, 0.6, 0.4), diverges_at: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scores = scores
        self.diverges_at = diverges_at
        self.steps: list[int] = []

    def training_step(self, batch: Tensor) -> Tensor:
        self.steps.append(self.global_step)
        return -self.weight.sum() * (float("inf") if self.global_step == self.diverges_at else 1)

    def validation_step(self, batch: Tensor) -> None:
        self.log("val/mIoU", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Nothing(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(list(range(STEPS)))

    def val_dataloader(self) -> DataLoader:
        return DataLoader([0])


def train(
    folder: Path,
    module: Counter,
    epochs: int = 3,
    ckpt_path: str | None = "last",
    ema: float | None = None,
    monitor: str = "val/mIoU",
    **options: Any,
) -> Any:
    trainer = {
        "_target_": "pytorch_lightning.Trainer",
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": epochs,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
    } | options
    logger = {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": str(folder)}}
    settings = {"run_dir": str(folder), "ckpt_path": ckpt_path, "ema": ema, "trainer": trainer, "logger": logger}
    return fit(OmegaConf.create(settings), module, Nothing(), monitor=monitor)
