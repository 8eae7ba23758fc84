"""What a student starts from: nothing, the teacher's transformer decoder, or an earlier student."""

import logging
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, load_network, original_recipe, without_downloads
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import copy_head, head_of
from m2fp_kd.pipeline.build.teacher import Teacher
from m2fp_kd.runtime.provenance import Parent

log = logging.getLogger(__name__)


def new_student(
    cfg: DictConfig, datamodule: ParsingDataModule, teacher: Teacher
) -> tuple[nn.Module, dict[str, Any], Parent | None]:
    """A fresh student, or ``student.checkpoint``'s, which may be a pruned one; its recipe, and where it comes from."""
    if cfg.student.checkpoint is None:
        recipe: Any = OmegaConf.to_container(cfg.student.network, resolve=True)
        if not cfg.student.head_from_teacher:
            return instantiate(recipe), recipe, None
        return *_with_the_teachers_head(recipe, teacher), None
    saved = load_network(cfg.student.checkpoint)
    if isinstance(saved.module, M2FP):
        raise CheckpointError(
            f"{cfg.student.checkpoint} holds a teacher; student.checkpoint wants the student.json of a run"
        )
    if saved.labels.parts != datamodule.labels.parts:
        raise CheckpointError(
            f"{cfg.student.checkpoint} knows the parts of '{saved.labels.name}', the data those of "
            f"'{datamodule.labels.name}'; choose data of the student's label set"
        )
    require_network(cfg, saved.recipe)
    parent = Parent(saved.sha256, str(cfg.student.checkpoint), saved.lineage)
    return saved.module, saved.recipe, parent


def _with_the_teachers_head(recipe: dict[str, Any], teacher: Teacher) -> tuple[nn.Module, dict[str, Any]]:
    """A fresh student whose transformer decoder starts as the teacher's, and its recipe.

    Raises:
        ValueError: the student has no such decoder, the teacher's weights are not at hand, or the recipe wants another
            width, or other numbers of queries or heads.
    """
    if "queries" not in recipe:
        raise ValueError("student.head_from_teacher=true is for students with queries: add student=m2fp")
    if teacher.whole is None:
        raise ValueError(
            "student.head_from_teacher=true copies the teacher's transformer decoder and needs its weights: "
            "add teacher=live teacher.checkpoint=FILE, or teacher=cached with one"
        )
    if teacher.whole.bridge is not None:
        raise ValueError("student.head_from_teacher=true: the teacher's queries tell other parts apart than the data's")
    head = head_of(teacher.whole.network)
    if other := [name for name in head if recipe.get(name) not in (None, head[name])]:
        taken, asked = (", ".join(f"{name}={values[name]}" for name in other) for values in (head, recipe))
        raise ValueError(
            f"student.head_from_teacher=true takes the teacher's {taken}, but student.network has {asked}; "
            "leave that out"
        )
    recipe |= head
    student = instantiate(recipe)
    log.info("%d tensors of the transformer decoder start as the teacher's", copy_head(student, teacher.whole.network))
    return student, recipe


def require_network(cfg: DictConfig, recipe: dict[str, Any]) -> None:
    """Check that ``student.checkpoint``, pruned or not, is the network that is configured.

    Raises:
        CheckpointError: it is another one.
    """
    original = original_recipe(recipe)
    wanted = without_downloads(OmegaConf.to_container(cfg.student.network, resolve=True))  # type: ignore[arg-type]
    if cfg.student.head_from_teacher:  # null is whatever the teacher had
        wanted |= {name: original[name] for name in ("width", "queries", "heads") if wanted.get(name) is None}
    if original != wanted:
        raise CheckpointError(
            f"{cfg.student.checkpoint} holds another network than backbone={cfg.backbone.name} "
            f"student={cfg.student.name} is; choose those that it was trained with"
        )
