"""Build the configuration and the training module that `m2fp-kd train` builds from the same overrides."""

from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.config import register_resolvers
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.student import new_student
from m2fp_kd.pipeline.assemble.teacher import load_teacher

ROOT = Path(__file__).parents[1]


def composed(overrides: Sequence[str]) -> DictConfig:
    """Return the project's configuration without creating a run folder."""
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=["run_dir=unused", *overrides])


def prepared(cfg: DictConfig) -> tuple[Distillation, ParsingDataModule]:
    """Return the training module and its data, ready for training batches."""
    torch.manual_seed(cfg.seed)
    datamodule = instantiate(cfg.data.module)
    teacher = load_teacher(cfg, datamodule)
    network, _, _ = new_student(cfg, datamodule, teacher)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    module = build_module(cfg, network, terms, datamodule, teacher.source)
    datamodule.setup("fit")
    return module.train(), datamodule
