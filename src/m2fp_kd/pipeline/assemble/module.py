"""Build the LightningModule of a network, and check its objective against the outputs of teacher and network."""

import logging
from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.objective import build_objective
from m2fp_kd.distill.teachers.target import TargetSource
from m2fp_kd.distill.training.module import Distillation, example_output

log = logging.getLogger(__name__)


def build_module(
    cfg: DictConfig,
    network: nn.Module,
    terms: Mapping[str, Any],
    datamodule: ParsingDataModule,
    teacher: TargetSource | None,
) -> Distillation:
    """Build the LightningModule that trains a network; ``terms`` as for `build_objective`.

    Raises:
        ValueError: a term needs an output that this teacher or this network does not have, or no term can learn from
            the unlabelled photos.
    """
    objective = build_objective(terms, datamodule.labels)
    objective.check_labels(datamodule.part_sets)
    if datamodule.needs_teacher and not objective.reads_teacher():
        raise ValueError(
            "unlabelled photos need a teacher, and no term of the objective reads one: add teacher=cached "
            "teacher.checkpoint=FILE distill=classic, or leave the photos out with data.unlabelled_ratio=0"
        )
    if datamodule.needs_teacher and not objective.reads_teacher(0.99):  # annealing to zero at the very end is fine
        log.warning(
            "the teacher's terms end before the training does; unlabelled photos contribute nothing after that. "
            "distill.anneal=null keeps these terms"
        )
    example = example_output(network, datamodule.labels.num_parts)
    gives = frozenset(name for name in ("queries", "features") if getattr(example, name) is not None)
    objective.check(teacher.gives if teacher is not None else frozenset(), gives)
    if example.features is not None:
        objective.connect(example.features.shape[1], teacher.channels if teacher is not None else None)
    return Distillation(
        student=network,
        objective=objective,
        labels=datamodule.labels,
        geometry=datamodule.geometry,
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        teacher=teacher,
        lr=cfg.lr,
        weight_decay=cfg.weight_decay,
        backbone_lr_scale=cfg.backbone_lr_scale,
        seed=cfg.seed,
        part_sets=datamodule.part_sets,
    )
