"""Two epochs from shards in one of two processes, of which one may be killed in the middle of a step."""

import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from m2fp_kd.data.sharded.datamodule import shard_splits, sharded_data_module
from tests.distill.training.killed_training import STEP
from tests.distill.training.short_training import Mishap, train

UNEVEN = 5
"""Photos in a batch of each process that do not divide the photos of `shards`."""


def addresses(shards: Path) -> dict[str, str]:
    return {"urls": f"{shards}/train-*.tar", "val_urls": f"{shards}/val-*.tar"}


def train_from(shards: Path, folder: Path, *overrides: str, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Train on the shards of a folder for two epochs."""
    data = [f"data.{name}={value}" for name, value in addresses(shards).items()]
    unpacked = f"data.unpack_to={folder / 'unpacked'}"
    return train("shards", folder, "", *data, unpacked, "trainer.max_epochs=2", *overrides, callbacks=callbacks)


class Seen(pl.Callback):
    """Collect the names of a process's photos in the order of its steps, each with its epoch."""

    def __init__(self) -> None:
        self.photos: list[tuple[int, str]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any) -> None:
        self.photos += [(trainer.current_epoch, name) for name in batch["names"]]


def uneven_epoch(shards: Path, folder: Path) -> list[str]:
    """Return the names of this process's photos in an epoch whose batches do not divide the photos."""
    splits = shard_splits(**addresses(shards), labels="cihp", unpack_to=folder / "unpacked")
    loader = sharded_data_module(splits, "cihp", 64, UNEVEN).train_dataloader()
    return [name for batch in loader for name in batch["names"]]


def main(folder: Path, shards: Path, victim: int) -> None:
    """Train; kill the process of rank `victim`, if there is one. Save what the process saw and its scores."""
    seen, mishap = Seen(), Mishap(victim, STEP, lambda: os.kill(os.getpid(), signal.SIGKILL))
    scores = train_from(shards, folder, "data.batch_size=2", callbacks=[seen, mishap]).callback_metrics
    found = {
        "photos": seen.photos,
        "uneven": uneven_epoch(shards, folder),
        "scores": {name: float(value) for name, value in scores.items()},
    }
    torch.save(found, folder / f"{os.environ['RANK']}.pt")
