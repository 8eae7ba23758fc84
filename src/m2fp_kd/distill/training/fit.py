"""Training with Lightning's Trainer: loggers, checkpoints, progress bar, resuming."""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    Callback,
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
    WeightAveraging,
)
from pytorch_lightning.plugins.environments import SLURMEnvironment
from torch import Tensor

from m2fp_kd.distill.training.allocator import keep_freed_memory
from m2fp_kd.distill.training.epoch_lines import EpochLines
from m2fp_kd.distill.training.loggers import start_loggers
from m2fp_kd.distill.training.processes import ProcessLost, Watch
from m2fp_kd.distill.training.saved_state import (
    INTERRUPTED,
    AtomicCheckpointIO,
    MovedFolder,
    SaveInterrupted,
    require_space_for_states,
    resume_from,
)
from m2fp_kd.distill.training.stopping import StopBetweenBatches
from m2fp_kd.evaluation.speed.cpu import cpu_precision
from m2fp_kd.shards import own_shard
from m2fp_kd.signals import handled

log = logging.getLogger(__name__)

QUIET = ("utilities.rank_zero", "trainer.connectors.signal_connector", "trainer.connectors.checkpoint_connector")
"""Modules of Lightning whose hardware notes, tips and notes on signals and files are not shown."""


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
        OSError: the disk has no space for the checkpoints.
        ProcessLost: another process of a distributed training ended.
        SystemExit: Ctrl-C, SIGTERM or SIGHUP stopped the training; its state after the last batch is on disk. The code
            is 128 + the signal's number.
    """
    if on_cpu(cfg):
        keep_freed_memory()
    folder = Path(cfg.run_dir) / "checkpoints"
    stop, watch = StopBetweenBatches(), Watch()
    trainer = new_trainer(
        cfg,
        default_root_dir=cfg.run_dir,
        logger=start_loggers(cfg),
        callbacks=[stop, watch, *_callbacks(cfg, folder, monitor), *callbacks],
        enable_progress_bar=_bars(cfg),
        plugins=[AtomicCheckpointIO()],
    )
    checkpoint = resume_from(cfg.ckpt_path, folder)
    require_space_for_states(folder, module)
    log.info("resuming from %s" if checkpoint else "training in %s", checkpoint or cfg.run_dir)
    # Lightning expects a resumable loader; here the data module resumes.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # Lightning's own use of PyTorch
    try:
        with handled(stop), watch:
            trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        if stop.received is not None:  # after the last batch
            raise SystemExit
    except BaseException as error:
        onward = _onward(cfg, folder)
        if lost := watch.explained(error):
            raise ProcessLost(f"{lost}; {onward or 'the same command starts again'}") from error
        # Resuming would hit the same NaN again.
        if onward and not isinstance(error, FloatingPointError):
            error.add_note(f"stopped; {onward}")
        if isinstance(error, SystemExit):  # Lightning's own codes are 0 and 1
            error.code = stop.exit_code
        raise
    return trainer


def _onward(cfg: DictConfig, folder: Path) -> str | None:
    """Return how a stopped training continues; None without a saved state."""
    state = resume_from("last", folder)
    again = "the same command" if cfg.ckpt_path == "last" else "the same command with ckpt_path=last"
    return f"{again} resumes from {state}" if state else None


def new_trainer(cfg: DictConfig, **options: Any) -> pl.Trainer:
    """Return Lightning's Trainer as ``cfg.trainer`` describes it, with further options."""
    for name in QUIET:
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.WARNING)
    # Lightning raises an error for it on CPUs, whose processes have statistics of their own.
    synchronised = cfg.trainer.get("sync_batchnorm", False) and not on_cpu(cfg)
    precision = cfg.trainer.get("precision", "32-true")
    if precision == "auto":
        precision = cpu_precision() if on_cpu(cfg) else "bf16-mixed"
    trainer: pl.Trainer = instantiate(cfg.trainer, sync_batchnorm=synchronised, precision=precision, **options)
    return trainer


class ValidatedInTime(Callback):
    """Refuse, before the first step, a training that ends before its first validation.

    Args:
        monitor: score that chooses the best epoch.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the limit of steps with the first validation.

        Raises:
            ValueError: the training ends earlier.
        """
        if trainer.val_check_batch is None:  # validation by the clock
            return
        epochs = trainer.check_val_every_n_epoch or 1
        batches = (epochs - 1) * trainer.num_training_batches + trainer.val_check_batch
        first = math.ceil(batches / trainer.accumulate_grad_batches)
        if 0 < trainer.max_steps < first:
            raise ValueError(
                f"trainer.max_steps={trainer.max_steps} must be at least {first}, the step of the first validation: "
                f"the best epoch is chosen by {self.monitor}"
            )


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


def on_cpu(cfg: DictConfig) -> bool:
    """Whether training runs on the CPU."""
    return cfg.trainer.get("accelerator") == "cpu" or not torch.accelerator.is_available()


def _bars(cfg: DictConfig) -> bool:
    """Whether to show progress bars; a log file gets a line per epoch instead."""
    return sys.stdout.isatty() and cfg.trainer.get("enable_progress_bar", True)


def refuse_sweep_of_processes(trainer: pl.Trainer) -> None:
    """Refuse a sweep whose jobs start processes: each would draw the settings of the sweep for itself.

    Raises:
        ValueError: this is one.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    starts_processes = trainer.world_size > 1 and not isinstance(environment, SLURMEnvironment)
    if starts_processes and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        way = "add trainer.devices=1" if own_shard() is None else "leave out torchrun"
        raise ValueError(
            f"a sweep (-m) trains each job in one process, not {trainer.world_size}; {way}, or start the settings one "
            "by one without -m"
        )


def _callbacks(cfg: DictConfig, folder: Path, monitor: str) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(folder, filename="best", monitor=monitor, mode="max", enable_version_counter=False),
        # save_last of the checkpoint above would copy the best epochs only.
        ModelCheckpoint(folder, filename="last", enable_version_counter=False),
        MovedFolder(),
        SaveInterrupted(folder / f"{INTERRUPTED}.ckpt"),
        LearningRateMonitor(),
        ValidatedInTime(monitor),
        TQDMProgressBar() if _bars(cfg) else EpochLines(monitor),
    ]
    if cfg.ema is not None:
        callbacks.append(WeightAveraging(avg_fn=warmed_average(cfg.ema)))
    return callbacks
