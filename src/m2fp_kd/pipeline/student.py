"""The student: distilled, saved, compressed, scored, reported."""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from m2fp_kd.checkpoints.network import (
    CheckpointError,
    Network,
    load_network,
    original_recipe,
    save_network,
    without_downloads,
)
from m2fp_kd.compress.callback import CompressAfterFit
from m2fp_kd.compress.steps import check_possible
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.callbacks import PredictionPictures
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.pipeline.finish import finish
from m2fp_kd.pipeline.identity import claim_sources
from m2fp_kd.pipeline.lineage import student_card, student_lineage
from m2fp_kd.pipeline.shrink import compress, read_recipe, shrink
from m2fp_kd.pipeline.teacher import build_module, load_teacher

log = logging.getLogger(__name__)


def train_student(cfg: DictConfig) -> dict[str, float]:
    """Distil, quantise, check and report; a student that an earlier call of the same run has finished is reused.

    Raises:
        ParityError: a gate failed; everything is saved by then.
        OrderError: compression's steps are in an order that cannot work; nothing was done.
    """
    recipe = read_recipe(cfg)
    datamodule = instantiate(cfg.data.module)
    teacher = load_teacher(cfg, datamodule)
    network, network_recipe, parent = _new_student(cfg, datamodule)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    lineage = student_lineage(cfg, datamodule, teacher, network, terms, parent)
    claim_sources(
        cfg,
        {
            "data": lineage["data"]["sha256"],
            "teacher": teacher.card.get("sha256"),
            "student.checkpoint": parent["sha256"] if parent else None,
        },
    )
    check_possible(recipe.artefacts, cfg.student.name, datamodule.geometry.fixed)
    saved = Path(cfg.run_dir) / "student.json"
    if saved.is_file() and cfg.ckpt_path == "last":
        log.info("%s is finished and taken as it is; ckpt_path=null trains it anew", saved)
        result, last = compress(cfg, recipe, datamodule, teacher, load_network(saved))
        return finish(cfg, datamodule, teacher, last.lineage, result)
    module = build_module(cfg, network, terms, datamodule, teacher.source)
    teacher_gives = teacher.source.gives if teacher.source is not None else frozenset()
    module.objective.check(teacher_gives, frozenset(cfg.student.gives))
    save = SaveStudent(saved, Network(network, datamodule.labels, datamodule.geometry, network_recipe, lineage, ""))
    card = student_card(datamodule, network, lineage)
    compression = CompressAfterFit(Path(cfg.run_dir) / "artefacts", card, recipe.first_artefacts, recipe.checks)
    hopeless = [instantiate(cfg.stop_hopeless)] if cfg.stop_hopeless else []
    trainer = fit(cfg, module, datamodule, [PredictionPictures(), *hopeless, save, compression])
    if not trainer.is_global_zero or compression.results is None:
        return {}
    result, last = compression.results, load_network(saved)
    if recipe.training:
        later, last = shrink(cfg, recipe, datamodule, teacher, last)
        result += later
    return finish(cfg, datamodule, teacher, last.lineage, result, trainer.loggers)


class SaveStudent(Callback):
    """Saves the best epoch's student when training ends, before anything else is made of it.

    Args:
        path: of its JSON.
        student: the network that is trained, with its recipe and lineage.
    """

    def __init__(self, path: Path, student: Network) -> None:
        self.path = path
        self.student = student

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save on the first process."""
        if not trainer.is_global_zero:
            return
        score = load_best(pl_module, self.path.parent / "checkpoints")
        lineage, it = self.student.lineage | {"val/mIoU": score}, self.student
        save_network(self.path.with_suffix(""), it.module, it.labels, it.geometry, it.recipe, lineage)


def cache_targets(cfg: DictConfig) -> dict[str, float]:
    """Fill the teacher's cache for the photos of the data, and nothing else."""
    if cfg.teacher.mode != "cached" or cfg.teacher.checkpoint is None:
        raise ValueError("stage=cache needs teacher=cached teacher.checkpoint=FILE")
    datamodule = instantiate(cfg.data.module)
    load_teacher(cfg, datamodule)
    return {"cached": float(len(datamodule.cache.names))}


def _new_student(
    cfg: DictConfig, datamodule: ParsingDataModule
) -> tuple[nn.Module, dict[str, Any], dict[str, Any] | None]:
    """A fresh student, or ``student.checkpoint``'s, which may be a pruned one; its recipe, and where it comes from."""
    recipe: Any = OmegaConf.to_container(cfg.student.network, resolve=True)
    if cfg.student.checkpoint is None:
        return instantiate(cfg.student.network), recipe, None
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
    parent = {"file": str(cfg.student.checkpoint), "sha256": saved.sha256, "lineage": saved.lineage}
    return saved.module, saved.recipe, parent


def require_network(cfg: DictConfig, recipe: dict[str, Any]) -> None:
    """Check that ``student.checkpoint``, pruned or not, is the network that is configured.

    Raises:
        CheckpointError: it is another one.
    """
    wanted: Any = OmegaConf.to_container(cfg.student.network, resolve=True)
    if original_recipe(recipe) != without_downloads(wanted):
        raise CheckpointError(
            f"{cfg.student.checkpoint} holds another network than backbone={cfg.backbone.name} "
            f"student={cfg.student.name} is; choose those that it was trained with"
        )
