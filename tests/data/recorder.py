"""A module that records the batches of a training."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn


class Recorder(pl.LightningModule):
    """Train one number and record the batches."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.stop_at = stop_at
        self.seen: list[list[str]] = []

    def training_step(self, batch: dict[str, Any], batch_index: int) -> torch.Tensor:
        if self.global_step == self.stop_at:
            raise RuntimeError("power cut")
        self.seen.append(batch["names"])
        return (self.weight - batch["images"].float().mean() / 255).square()

    def validation_step(self, batch: dict[str, Any], batch_index: int) -> None:
        assert batch["truth"][0].shape == (48, 64)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)
