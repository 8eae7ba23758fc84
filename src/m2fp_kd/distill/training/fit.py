"""One call of Lightning's Trainer: loggers, checkpoints, progress bar, resuming."""

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
    cfg: DictConfig, module: pl.LightningModule, datamodule: pl.LightningDataModule, callbacks: Sequence[Callback] = ()
) -> pl.Trainer:
    """Train, or go on with an interrupted run; leaves ``checkpoints/best.ckpt`` and ``last.ckpt`` in the run's folder.

    Raises:
        FileNotFoundError: ``ckpt_path`` names a file that is not there.
        SystemExit: Ctrl-C; the state of the last finished batch is on disk.
    """
    # Without what hardware is not there, and advertisements.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    folder = Path(cfg.run_dir) / "checkpoints"
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        default_root_dir=cfg.run_dir,
        logger=start_loggers(cfg),
        callbacks=[*_callbacks(cfg, folder), *callbacks],
        plugins=[AtomicCheckpointIO()],
    )
    checkpoint = resume_from(cfg.ckpt_path, folder)
    if checkpoint:
        log.info("resuming from %s", checkpoint)
    # Lightning looks for a resumable loader; here the data module is.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        # What is no longer finite would only be so again.
        if not isinstance(error, FloatingPointError) and (state := resume_from("last", folder)):
            again = "the same command" if cfg.ckpt_path == "last" else "the same command with ckpt_path=last"
            log.warning("stopped; %s goes on from %s", again, state)
        raise
    return trainer


def resume_from(ckpt_path: str | None, folder: Path) -> str | None:
    """The checkpoint to go on from: None starts from scratch, ``last`` means the folder's newest, if there is one."""
    if ckpt_path is None:
        return None
    if ckpt_path == "last":
        states = [path for name in ("last", INTERRUPTED) if (path := folder / f"{name}.ckpt").is_file()]
        return str(max(states, key=lambda path: path.stat().st_mtime_ns)) if states else None
    if Path(ckpt_path).is_file():
        return ckpt_path
    raise FileNotFoundError(f"ckpt_path={ckpt_path} does not exist; ckpt_path=last goes on from this run's own state")


class SaveInterrupted(Callback):
    """Saves where an epoch was interrupted; the data module then goes on with that epoch's next batch.

    Not before training has begun, when a checkpoint to resume from is not loaded yet; not after a number that is not
    finite, which would only happen again; and not during validation, when the weights may be the moving average's: then
    a run goes on from the last epoch's state. (Lightning's OnExceptionCheckpoint does not tell these apart, and turns
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
    """Writes beside the file and renames: a full disk or a kill never leaves half a checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic_path(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)


def warmed_average(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Exponential moving average whose decay rises with the number n of updates: ``min(decay, (1 + n) / (10 + n))``.

    At a constant decay the average of a short run would still hold a good part of the random start.
    """

    def average(averaged: Tensor, current: Tensor, updates: Tensor) -> Tensor:
        if not averaged.is_floating_point():  # counters are taken as they are
            return current
        weight = min(decay, (1 + int(updates)) / (10 + int(updates)))
        return torch.lerp(current, averaged, weight)

    return average


def _callbacks(cfg: DictConfig, folder: Path) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, filename="best", monitor="val/mIoU", mode="max", enable_version_counter=False),
        # Not save_last of the one above, which copies the best epochs only.
        ModelCheckpoint(folder, filename="last", enable_version_counter=False),
        SaveInterrupted(folder / f"{INTERRUPTED}.ckpt"),
        LearningRateMonitor(),
        TQDMProgressBar(),
    ]
    if cfg.ema is not None:
        callbacks.append(WeightAveraging(avg_fn=warmed_average(cfg.ema)))
    return callbacks
