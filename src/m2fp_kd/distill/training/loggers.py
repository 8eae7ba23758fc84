"""The loggers of a run. Weights & Biases shows what the run's folder holds anyway: where it fails, the run goes on."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from m2fp_kd.runtime.files import atomic_path

log = logging.getLogger(__name__)

RUN_ID = "wandb_run.txt"
"""In a run's folder: the id of its record in W&B, so that a run that goes on does so there too."""

INSTEAD = "curves stand in metrics/, results in report.html (logger=csv: without Weights & Biases)"


class TolerantWandbLogger(WandbLogger):
    """Lightning's logger, but when W&B fails in the middle of a training, the record ends and the training does not.

    Args:
        offline: record into ``save_dir`` and upload nothing. Said of this run, where Lightning sets an environment
            variable, which W&B reads only once in a process.
        settings: further arguments of `WandbLogger` and ``wandb.init``.
    """

    def __init__(self, offline: bool = False, **settings: Any) -> None:
        super().__init__(mode="offline" if offline else "online", **settings)
        self.failed = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before; warn when it does."""
        if self.failed:
            return
        self.failed = True
        with tolerated("the training goes on without it"):
            super().log_metrics(metrics, step)
            self.failed = False


@contextmanager
def tolerated(outcome: str) -> Iterator[None]:
    """Turn whatever W&B raises, which may be the network's or its own process's end, into a warning.

    Args:
        outcome: what becomes of the run, for the warning.
    """
    try:
        yield
    except Exception as error:
        log.warning("Weights & Biases failed (%s: %s): %s; %s", type(error).__name__, error, outcome, INSTEAD)


def start_loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of ``cfg.logger``; W&B's is left out, with a warning, where it cannot start."""
    others = [instantiate(logger) for name, logger in cfg.logger.items() if name != "wandb"]
    return [*others, *start_wandb(cfg)]


def start_wandb(cfg: DictConfig) -> list[WandbLogger]:
    """Begin the run's record in W&B with its whole configuration, or take it up where ``ckpt_path=last`` goes on.

    Returns:
        Its logger; none where ``cfg.logger`` has none, or where W&B is not installed or does not start.
    """
    if "wandb" not in cfg.logger:
        return []
    if find_spec("wandb") is None:
        log.warning("Weights & Biases is not installed (pip install wandb): the run goes on without it; %s", INSTEAD)
        return []
    known = Path(cfg.run_dir) / RUN_ID
    go_on = cfg.ckpt_path == "last" and known.is_file()
    with tolerated("the run goes on without it"):
        logger: WandbLogger = instantiate(cfg.logger.wandb, id=known.read_text() if go_on else None)
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
        _remember(logger, known)
        return [logger]
    return []


@rank_zero_only
def _remember(logger: WandbLogger, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(str(logger.version))


@contextmanager
def wandb_ended() -> Iterator[None]:
    """End the record that is begun within, as failed where an exception passes: the next run of a sweep has its own."""
    failed = True
    try:
        yield
        failed = False
    finally:
        wandb = sys.modules.get("wandb")  # not imported for this: runs without it should not need it
        if wandb is not None and wandb.run is not None:
            with tolerated("its record may lack the end"):
                wandb.finish(exit_code=int(failed))
