"""The loggers of a run. Weights & Biases only copies what the run's folder has: if it fails, the run continues."""

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
from m2fp_kd.runtime.provenance import without_folders

log = logging.getLogger(__name__)

RUN_ID = "wandb_run.txt"
"""File in a run's folder with the id of its W&B record, so that a resumed run continues the record."""

INSTEAD = "curves are in metrics/, results in report.html (logger=csv disables Weights & Biases)"


class TolerantWandbLogger(WandbLogger):
    """Lightning's logger, except that a failure of W&B during training ends the record and not the training.

    Args:
        offline: record to ``save_dir`` and upload nothing. This is set per run; Lightning sets an environment variable,
            which W&B reads only once per process.
        settings: further arguments of `WandbLogger` and ``wandb.init``.
    """

    def __init__(self, offline: bool = False, **settings: Any) -> None:
        super().__init__(mode="offline" if offline else "online", **settings)
        self._wandb_init.pop("anonymous", None)  # Lightning passes it always, and W&B warns about it
        self.failed = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before; warn when it fails."""
        if self.failed:
            return
        self.failed = True
        with tolerated("training continues without it"):
            super().log_metrics(metrics, step)
            self.failed = False

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **settings: Any) -> None:
        """Log images, unless W&B has failed before; warn when their files cannot be written."""
        if not self.failed:
            with tolerated("these images are not in it"):
                super().log_image(key, images, step, **settings)


@contextmanager
def tolerated(outcome: str) -> Iterator[None]:
    """Turn any exception of W&B, such as a lost network or a dead service process, into a warning.

    Args:
        outcome: consequence for the run, for the warning.
    """
    try:
        yield
    except Exception as error:
        log.warning("Weights & Biases failed (%s: %s): %s; %s", type(error).__name__, error, outcome, INSTEAD)


def start_loggers(cfg: DictConfig) -> list[Logger]:
    """Start the loggers of ``cfg.logger``; leave W&B out, with a warning, if it cannot start."""
    others = [instantiate(logger) for name, logger in cfg.logger.items() if name != "wandb"]
    return [*others, *start_wandb(cfg)]


def start_wandb(cfg: DictConfig) -> list[WandbLogger]:
    """Begin the run's W&B record with its whole configuration, or continue it if ``ckpt_path=last`` resumes the run.

    Returns:
        The logger; an empty list if ``cfg.logger`` has none, or if W&B is not installed or does not start.
    """
    if "wandb" not in cfg.logger:
        return []
    if find_spec("wandb") is None:
        log.warning("Weights & Biases is not installed (pip install wandb): the run continues without it; %s", INSTEAD)
        return []
    known = Path(cfg.run_dir) / RUN_ID
    resumed = cfg.ckpt_path == "last" and known.is_file()
    with tolerated("the run continues without it"):
        logger: WandbLogger = instantiate(cfg.logger.wandb, id=known.read_text() if resumed else None)
        logger.log_hyperparams(without_folders(OmegaConf.to_container(cfg, resolve=True)))
        _remember(logger, known)
        return [logger]
    return []


@rank_zero_only
def _remember(logger: WandbLogger, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(str(logger.version))


@contextmanager
def wandb_ended() -> Iterator[None]:
    """End the record begun in this context, as failed if an exception passes; the next run of a sweep has its own."""
    failed = True
    try:
        yield
        failed = False
    finally:
        wandb = sys.modules.get("wandb")  # do not import it: runs without W&B must not need it
        if wandb is not None and wandb.run is not None:
            with tolerated("its record may lack the end"):
                wandb.finish(exit_code=int(failed))
