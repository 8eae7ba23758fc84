"""Run the stage that `stage=` names. Stages reuse finished results and write complete files only."""

from collections.abc import Callable

import pytorch_lightning as pl
from omegaconf import DictConfig

from m2fp_kd.distill.training.loggers import wandb_ended
from m2fp_kd.pipeline.record.run_folder import claim
from m2fp_kd.pipeline.stages.cache import cache_targets
from m2fp_kd.pipeline.stages.compress import compress_saved
from m2fp_kd.pipeline.stages.pretrain import pretrain_backbone
from m2fp_kd.pipeline.stages.teacher import train_teacher
from m2fp_kd.pipeline.stages.train import train_student
from m2fp_kd.versions import check_versions

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
        ValueError: the stage is unknown, settings contradict each other, or the run folder belongs to other settings.
    """
    if cfg.stage not in STAGES:
        raise ValueError(f"stage={cfg.stage} is not one of {', '.join(STAGES)}")
    check_versions()
    # Fix the name now: instantiating cfg.data.module makes OmegaConf resolve the nodes that it refers to in place,
    # which would change the digest in the name.
    cfg.name, cfg.run_dir = cfg.name, cfg.run_dir
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    claim(cfg)
    with wandb_ended():
        return STAGES[cfg.stage](cfg)
