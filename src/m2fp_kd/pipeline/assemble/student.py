"""Build the student: from scratch, with the teacher's transformer decoder, or from an earlier student."""

import logging
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, load_network, original_architecture, without_downloads
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import copy_head, head_of
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.runtime.provenance import Parent

log = logging.getLogger(__name__)


def new_student(
    cfg: DictConfig, datamodule: ParsingDataModule, teacher: Teacher
) -> tuple[nn.Module, dict[str, Any], Parent | None]:
    """Build a new student, or load the one that ``student.checkpoint`` names, which may be pruned.

    Returns:
        The network, its architecture, and the parent it was loaded from (None for a new student).

    Raises:
        CheckpointError: the file holds a teacher, a network of other parts, or another network than the configured one.
        ValueError: ``student.head_from_teacher=true`` with a student or a teacher that does not allow it.
    """
    if cfg.student.checkpoint is None:
        architecture: Any = OmegaConf.to_container(cfg.student.network, resolve=True)
        if not cfg.student.head_from_teacher:
            return instantiate(architecture), architecture, None
        return *_with_the_teachers_head(architecture, teacher), None
    saved = load_network(cfg.student.checkpoint)
    if isinstance(saved.module, M2FP):
        raise CheckpointError(
            f"{cfg.student.checkpoint} holds a teacher; student.checkpoint takes the student.json of a run"
        )
    require_labels_of_data(cfg, saved.labels, datamodule.labels)
    require_network(cfg, saved.architecture)
    parent = Parent(saved.sha256, str(cfg.student.checkpoint), saved.lineage)
    return saved.module, saved.architecture, parent


def require_labels_of_data(cfg: DictConfig, found: LabelSet, wanted: LabelSet) -> None:
    """Check that ``student.checkpoint`` has the parts of the data.

    Raises:
        CheckpointError: it has others.
    """
    if found.parts != wanted.parts:
        raise CheckpointError(
            f"{cfg.student.checkpoint} has the parts of '{found.name}', the data those of '{wanted.name}'; choose data "
            "of the network's label set"
        )


def _with_the_teachers_head(architecture: dict[str, Any], teacher: Teacher) -> tuple[nn.Module, dict[str, Any]]:
    """Build a new student with a copy of the teacher's transformer decoder; return it and its architecture.

    Raises:
        ValueError: the student has no such decoder, the teacher's weights are not loaded, or the architecture sets
            another width or other numbers of queries or heads.
    """
    if "queries" not in architecture:
        raise ValueError("student.head_from_teacher=true needs a student with queries: add student=m2fp")
    if teacher.whole is None:
        raise ValueError(
            "student.head_from_teacher=true copies the teacher's transformer decoder and needs its weights: "
            "add teacher=live teacher.checkpoint=FILE, or teacher=cached with one"
        )
    single = teacher.whole.single
    if single is None or not isinstance(single.network, M2FP) or single.bridge is not None:
        raise ValueError(
            "student.head_from_teacher=true needs a single M2FP of the data's label set as the teacher, because its "
            "queries are copied"
        )
    head = head_of(single.network)
    if other := [name for name in head if architecture.get(name) not in (None, head[name])]:
        theirs, ours = (", ".join(f"{name}={values[name]}" for name in other) for values in (head, architecture))
        raise ValueError(
            f"student.head_from_teacher=true takes the teacher's {theirs}, but student.network sets {ours}; "
            "remove these settings"
        )
    architecture |= head
    student = instantiate(architecture)
    log.info("copied %d tensors of the teacher's transformer decoder", copy_head(student, single.network))
    return student, architecture


def require_network(cfg: DictConfig, architecture: dict[str, Any]) -> None:
    """Check that ``student.checkpoint``, pruned or not, is the configured network.

    Raises:
        CheckpointError: it is another network.
    """
    original = original_architecture(architecture)
    wanted = without_downloads(OmegaConf.to_container(cfg.student.network, resolve=True))  # type: ignore[arg-type]
    if cfg.student.head_from_teacher:  # null takes the teacher's value
        wanted |= {name: original.get(name) for name in ("width", "queries", "heads") if wanted.get(name) is None}
    if original != wanted:
        raise CheckpointError(
            f"{cfg.student.checkpoint} holds another network than backbone={cfg.backbone.name} "
            f"student={cfg.student.name}; choose the backbone and student that it was trained with"
        )
