"""The chain of stages behind `train.py`: each reuses what is finished and leaves whole files only."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.network import load_network, save_network
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.distill.module import Distillation
from m2fp_kd.distill.objective import build_objective
from m2fp_kd.labels import load_label_set
from m2fp_kd.runtime.files import atomic_path

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> dict[str, float]:
    """Run the stage that ``cfg.stage`` names; return its metrics.

    Raises:
        ValueError: an unknown stage, or settings that contradict each other.
    """
    stages = {"teacher": train_teacher}
    if cfg.stage not in stages:
        raise ValueError(f"stage={cfg.stage} is not one of {', '.join(stages)}")
    with atomic_path(Path(cfg.run_dir) / "config.yaml") as temporary:
        OmegaConf.save(cfg, temporary, resolve=True)
    return stages[cfg.stage](cfg)


def train_teacher(cfg: DictConfig) -> dict[str, float]:
    """Train an M2FP by matched mask classification and save it as ``teacher.json`` + ``teacher.safetensors``."""
    labels = load_label_set(cfg.data.labels)
    datamodule = instantiate(cfg.data.module)
    network = instantiate(cfg.teacher.network)
    if cfg.teacher.checkpoint is not None:
        network.load_state_dict(load_network(cfg.teacher.checkpoint).module.state_dict())
    module = build_module(cfg, network, cfg.teacher.terms, datamodule, teacher=None)
    trainer = fit(cfg, module, datamodule)
    load_best(module, Path(cfg.run_dir) / "checkpoints")
    recipe = OmegaConf.to_container(cfg.teacher.network, resolve=True)
    path = save_network(Path(cfg.run_dir) / "teacher", network, labels, module.geometry, recipe, {"data": cfg.data.name})
    log.info("teacher saved as %s", path)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def build_module(
    cfg: DictConfig, network: nn.Module, terms: DictConfig, datamodule: pl.LightningDataModule, teacher: Any
) -> Distillation:
    """The training recipe around a network; partial configuration nodes become callables."""
    return Distillation(
        student=network,
        objective=build_objective(instantiate(terms), datamodule.labels),
        labels=datamodule.labels,
        geometry=datamodule.geometry,
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        teacher=teacher,
        lr=cfg.lr,
        weight_decay=cfg.weight_decay,
        backbone_lr_scale=cfg.backbone_lr_scale,
        seed=cfg.seed,
    )
