"""`stage=pretrain` for a short epoch, in one process or as one of two; both have four photos in a batch together."""

import os
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from m2fp_kd.distill.training.feature_pretraining import FeaturePretraining
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import compose_small


def keep_statistics(module: pl.LightningModule) -> None:
    """Let BatchNorms keep their statistics, which otherwise are those of a process's own photos."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


def pretrain(folder: Path, photos: Path, weights: Path, *overrides: str) -> dict[str, float]:
    """Pretrain on a folder of photos; the run's folder is `folder / "run"`."""
    settings = [
        "stage=pretrain", "pretrain.teacher=resnet18", f"pretrain.teacher_weights={weights}", "data.root=null",
        f"data.unlabelled={photos}", "trainer=ddp", "trainer.accelerator=cpu", "optimizer._target_=torch.optim.SGD",
        "lr=0.05", "trainer.max_epochs=1",
    ]  # fmt: skip
    return run(compose_small(photos, folder / "run", *settings, *overrides))


def main(folder: Path, photos: Path, weights: Path) -> None:
    """Pretrain as one of two processes and save the scores that this process returns."""
    FeaturePretraining.on_fit_start = keep_statistics  # type: ignore[method-assign]
    scores = pretrain(folder, photos, weights, "data.batch_size=2")
    torch.save(scores, folder / f"{os.environ['RANK']}.pt")
