"""Training with Lightning's Trainer: loggers, checkpoints, progress bar, resuming."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
    WeightAveraging,
)
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from m2fp_kd.distill.training.loggers import start_loggers
from m2fp_kd.runtime.files import atomic_path

log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"


def fit(
    cfg: DictConfig,
    module: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    callbacks: Sequence[Callback] = (),
    monitor: str = "val/mIoU",
) -> pl.Trainer:
    """Train, or resume an interrupted run; write ``checkpoints/best.ckpt`` and ``last.ckpt`` to the run's folder.

    ``best.ckpt`` is the epoch with the largest ``monitor``.

    Raises:
        FileNotFoundError: ``ckpt_path`` names a missing file.
        SystemExit: the user pressed Ctrl-C; the state of the last finished batch is on disk.
    """
    # Silence Lightning's hardware notes and tips.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    folder = Path(cfg.run_dir) / "checkpoints"
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        default_root_dir=cfg.run_dir,
        logger=start_loggers(cfg),
        callbacks=[*_callbacks(cfg, folder, monitor), *callbacks],
        plugins=[AtomicCheckpointIO()],
    )
    checkpoint = resume_from(cfg.ckpt_path, folder)
    if checkpoint:
        log.info("resuming from %s", checkpoint)
    # Lightning expects a resumable loader; here the data module resumes.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        # Resuming would hit the same NaN again.
        if not isinstance(error, FloatingPointError) and (state := resume_from("last", folder)):
            again = "the same command" if cfg.ckpt_path == "last" else "the same command with ckpt_path=last"
            log.warning("stopped; %s resumes from %s", again, state)
        raise
    return trainer


def resume_from(ckpt_path: str | None, folder: Path) -> str | None:
    """Return the checkpoint to resume from; None starts from scratch, ``last`` is the folder's newest one, if any."""
    if ckpt_path is None:
        return None
    if ckpt_path == "last":
        states = [path for name in ("last", INTERRUPTED) if (path := folder / f"{name}.ckpt").is_file()]
        return str(max(states, key=lambda path: path.stat().st_mtime_ns)) if states else None
    if Path(ckpt_path).is_file():
        return ckpt_path
    raise FileNotFoundError(f"ckpt_path={ckpt_path} does not exist; ckpt_path=last resumes this run's own state")


class SaveInterrupted(Callback):
    """Save the state when an epoch is interrupted, so that training resumes with the epoch's next batch.

    Nothing is saved before training has begun, since a checkpoint to resume from is not loaded yet; after a NaN, which
    would recur; and during validation, since the weights may be the moving average's. The run then resumes from the
    last epoch's state. (Lightning's OnExceptionCheckpoint does not distinguish these cases, and turns
    ``ckpt_path=None`` into "last".)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = True

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.begun and not isinstance(exception, FloatingPointError) and not trainer.validating:
            trainer.save_checkpoint(self.path)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write to a temporary file and rename it: a full disk or a kill never leaves half a checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic_path(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


def warmed_average(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return an exponential moving average with a decay of ``min(decay, (1 + n) / (10 + n))`` after n updates.

    With a constant decay, the average of a short run would still contain much of the random start.
    """

    def average(averaged: Tensor, current: Tensor, updates: Tensor) -> Tensor:
        if not averaged.is_floating_point():  # counters are copied
            return current
        weight = min(decay, (1 + int(updates)) / (10 + int(updates)))
        return torch.lerp(current, averaged, weight)

    return average


def _callbacks(cfg: DictConfig, folder: Path, monitor: str) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, filename="best", monitor=monitor, mode="max", enable_version_counter=False),
        # save_last of the checkpoint above would copy the best epochs only.
        ModelCheckpoint(folder, filename="last", enable_version_counter=False),
        SaveInterrupted(folder / f"{INTERRUPTED}.ckpt"),
        LearningRateMonitor(),
        TQDMProgressBar(),
    ]
    if cfg.ema is not None:
        callbacks.append(WeightAveraging(avg_fn=warmed_average(cfg.ema)))
    return callbacks
