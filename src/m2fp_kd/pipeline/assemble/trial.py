"""Build the parts of a training before any work, to find the options that their libraries refuse."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from m2fp_kd.distill.training.fit import new_trainer, refuse_sweep_of_processes

TRAINING_STAGES = ("train", "teacher", "pretrain")

STEPS = 10
"""Steps of the schedule on trial."""


def try_training(cfg: DictConfig) -> None:
    """Build Lightning's Trainer, the optimiser of one number and its schedule, and discard them.

    Raises:
        ValueError: a library refuses an option, or a sweep would start processes.
    """
    if cfg.stage not in TRAINING_STAGES:
        return
    with _named("trainer"):
        trainer = new_trainer(cfg, logger=False)
    refuse_sweep_of_processes(trainer)
    with _named("optimizer"):
        group = {"params": [nn.Parameter(torch.zeros(1))], "lr": cfg.lr, "weight_decay": cfg.weight_decay}
        optimizer = instantiate(cfg.optimizer)([group])
    with _named("schedule"):
        instantiate(cfg.schedule)(optimizer, total_steps=STEPS)


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Name the option in an error of a library."""
    try:
        yield
    except (MisconfigurationException, InstantiationException, TypeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise ValueError(f"{option}: {cause}") from error
