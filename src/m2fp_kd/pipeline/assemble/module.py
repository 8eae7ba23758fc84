"""Build the LightningModule of a network, and check its objective against the outputs of teacher and network."""

import logging
from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.objective import Objective, build_objective
from m2fp_kd.distill.teachers.source_teachers import FIELD, SourceTeachers
from m2fp_kd.distill.teachers.target import TargetSource
from m2fp_kd.distill.training.module import Distillation, example_output

log = logging.getLogger(__name__)


def build_module(
    cfg: DictConfig,
    network: nn.Module,
    terms: Mapping[str, Any],
    datamodule: ParsingDataModule,
    teacher: TargetSource | None,
    source_teachers: SourceTeachers | None = None,
) -> Distillation:
    """Build the LightningModule that trains a network; ``terms`` as for `build_objective`.

    Raises:
        ValueError: a term needs an output that this teacher or this network does not have, no term can learn from the
            unlabelled photos, or the sources' own teachers have no term that reads them, or the term no teacher.
    """
    objective = build_objective(terms, datamodule.labels)
    objective.check_labels(datamodule.part_sets)
    _check_source_teachers(objective, source_teachers)
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
    teacher_gives = teacher.gives if teacher is not None else frozenset()
    objective.check(teacher_gives | ({FIELD} if source_teachers is not None else set()), gives)
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
        source_teachers=source_teachers,
    )


def _check_source_teachers(objective: Objective, source_teachers: SourceTeachers | None) -> None:
    read = any(FIELD in term.needs for term in objective.terms.values())  # type: ignore[operator]
    if read and source_teachers is None:
        raise ValueError(
            "the term source_kl compares with the sources' own teachers, and no source has one: add "
            "data=mix data.sources.NAME.teacher=FILE, or leave the term out"
        )
    if source_teachers is not None and not read:
        raise ValueError(
            f"no term reads the own teachers of {', '.join(source_teachers.models)}: add source_kl, for instance "
            "'distill/term@distill.terms=[ce,jaccard,source_kl]' distill.alpha=0.5, or leave the teachers out"
        )
