"""Run the stage that `stage=` names. Stages reuse finished results and write complete files only."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from m2fp_kd.data.layouts import LayoutError
from m2fp_kd.data.reading import LabelError
from m2fp_kd.distill.training.loggers import wandb_ended
from m2fp_kd.pipeline.assemble.trial import try_training
from m2fp_kd.pipeline.record.run_folder import claim, expect_mended_data, locked
from m2fp_kd.pipeline.stages.cache import cache_targets
from m2fp_kd.pipeline.stages.compress import compress_saved
from m2fp_kd.pipeline.stages.pretrain import pretrain_backbone
from m2fp_kd.pipeline.stages.teacher import train_teacher
from m2fp_kd.pipeline.stages.train import train_student
from m2fp_kd.preflight import check
from m2fp_kd.runtime.disk import FULL
from m2fp_kd.runtime.geometry import PhotoError
from m2fp_kd.signals import handled, leave
from m2fp_kd.versions import check_versions

log = logging.getLogger(__name__)

STAGES: dict[str, Callable[[DictConfig], dict[str, float]]] = {
    "train": train_student,
    "teacher": train_teacher,
    "cache": cache_targets,
    "compress": compress_saved,
    "pretrain": pretrain_backbone,
}


def run(cfg: DictConfig) -> dict[str, float]:
    """Run the stage that ``cfg.stage`` names and return its metrics.

    Raises:
        FileNotFoundError: an option names a file or folder that does not exist.
        ValueError: settings are impossible or contradict each other, or the run folder belongs to other settings or to
            another process.
        SystemExit: a signal stopped the run; the code is 128 + its number.
    """
    check(cfg)
    check_versions()
    try_training(cfg)
    # Fix the name now: instantiating cfg.data.module makes OmegaConf resolve the nodes that it refers to in place,
    # which would change the digest in the name.
    cfg.name, cfg.run_dir = cfg.name, cfg.run_dir
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    with _ends_well(cfg), handled(leave), locked(cfg):
        claim(cfg)
        with wandb_ended():
            return STAGES[cfg.stage](cfg)


@contextmanager
def _ends_well(cfg: DictConfig) -> Iterator[None]:
    """Log how to continue a run that something stops, as its last line."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, PhotoError | LabelError | LayoutError):
            expect_mended_data(cfg)
        if isinstance(error, OSError) and error.errno in FULL and error.filename is None:
            error.filename = f"{cfg.run_dir} or {tempfile.gettempdir()}"
        notes = getattr(error, "__notes__", [])
        if isinstance(error, SystemExit) and not notes:
            notes = [f"stopped by {_signal(error.code)}; the same command continues the run"]
        _log_notes(notes)
        raise


@rank_zero_only
def _log_notes(notes: list[str]) -> None:
    for note in notes:
        log.warning("%s", note)


def _signal(code: object) -> str:
    return Signals(code - 128).name if isinstance(code, int) and code > 128 else f"exit code {code}"
