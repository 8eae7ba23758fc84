"""Build the parts of a training before any work, to find the options that their libraries refuse."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from m2fp_kd.distill.training.fit import new_trainer, refuse_sweep_of_processes
from m2fp_kd.shards import own_shard

log = logging.getLogger(__name__)

TRAINING_STAGES = ("train", "teacher", "pretrain")

STEPS = 10
"""Steps of the schedule on trial."""


def try_training(cfg: DictConfig) -> None:
    """Build Lightning's Trainer, the optimiser of one number and its schedule, and discard them.

    Raises:
        ValueError: a library refuses an option, a sweep would start processes, or torchrun started processes that would
            not train together.
    """
    started = own_shard()
    if cfg.stage == "compress" and started is not None:
        raise ValueError(f"stage=compress runs in one process, and torchrun started {started.of}; leave out torchrun")
    if cfg.stage not in TRAINING_STAGES:
        return
    with _named("trainer"):
        trainer = new_trainer(cfg, logger=False)
    refuse_sweep_of_processes(trainer)
    if started is not None and trainer.world_size != started.of:
        raise ValueError(
            f"torchrun started {started.of} processes, but this trainer trains in {trainer.world_size}; add "
            "trainer=ddp, or leave out torchrun"
        )
    if trainer.world_size > 1:
        _log_batch(cfg, trainer)
    with _named("optimizer"):
        group = {"params": [nn.Parameter(torch.zeros(1))], "lr": cfg.lr, "weight_decay": cfg.weight_decay}
        optimizer = instantiate(cfg.optimizer)([group])
    with _named("schedule"):
        instantiate(cfg.schedule)(optimizer, total_steps=STEPS)


@rank_zero_only
def _log_batch(cfg: DictConfig, trainer: pl.Trainer) -> None:
    photos = cfg.data.batch_size * trainer.world_size
    log.info(
        "%d processes: a batch has %d photos, %d of each process; lr=%g is not scaled with their number",
        *(trainer.world_size, photos, cfg.data.batch_size, cfg.lr),
    )


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Name the option in an error of a library."""
    try:
        yield
    except (MisconfigurationException, InstantiationException, TypeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise ValueError(f"{option}: {cause}") from error
