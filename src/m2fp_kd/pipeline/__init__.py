"""The chain of stages behind `train.py`: each reuses what is finished and leaves whole files only."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.config import differences
from m2fp_kd.pipeline.student import cache_targets, compress_saved, train_student
from m2fp_kd.pipeline.teacher import train_teacher
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.versions import check_versions

STAGES: dict[str, Callable[[DictConfig], dict[str, float]]] = {
    "train": train_student,
    "teacher": train_teacher,
    "cache": cache_targets,
    "compress": compress_saved,
}


def run(cfg: DictConfig) -> dict[str, float]:
    """Run the stage that ``cfg.stage`` names; return its metrics.

    Raises:
        ValueError: an unknown stage, settings that contradict each other, or a run folder that was begun with others.
    """
    if cfg.stage not in STAGES:
        raise ValueError(f"stage={cfg.stage} is not one of {', '.join(STAGES)}")
    check_versions()
    _require_same_settings(cfg)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    with atomic_path(Path(cfg.run_dir) / "config.yaml") as temporary:
        OmegaConf.save(cfg, temporary, resolve=True)
    return STAGES[cfg.stage](cfg)


def _require_same_settings(cfg: DictConfig) -> None:
    """What a run folder holds is only taken up with the settings that made it."""
    path = Path(cfg.run_dir) / "config.yaml"
    if cfg.ckpt_path != "last" or not path.is_file():
        return
    if changed := differences(cast(DictConfig, OmegaConf.load(path)), cfg):
        shown = "; ".join(changed[:5]) + ("; …" if len(changed) > 5 else "")
        raise ValueError(
            f"{cfg.run_dir} was begun with other settings ({shown}); choose another name=NAME, "
            "start it anew with ckpt_path=null, or go on from a checkpoint with ckpt_path=FILE"
        )
