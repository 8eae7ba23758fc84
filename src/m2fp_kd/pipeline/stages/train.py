"""``stage=train``: distil a student, save it, compress it, score it and write the report."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from m2fp_kd.checkpoints.best import load_best
from m2fp_kd.checkpoints.network import load_network, save_network
from m2fp_kd.compress.steps import check_possible
from m2fp_kd.distill.training.fit import fit
from m2fp_kd.distill.training.pictures import PredictionPictures
from m2fp_kd.pipeline.assemble.data import check_files
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.student import new_student
from m2fp_kd.pipeline.assemble.teacher import load_teacher
from m2fp_kd.pipeline.record.finish import finish
from m2fp_kd.pipeline.record.lineage import student_lineage
from m2fp_kd.pipeline.record.run_folder import claim_sources
from m2fp_kd.pipeline.stages.shrink import compress, read_recipe

log = logging.getLogger(__name__)


def train_student(cfg: DictConfig) -> dict[str, float]:
    """Distil a student, compress it, check every hop and write the report; reuse a student that this run has finished.

    Returns:
        Scores of the run; empty on every process but the first.

    Raises:
        ParityError: a gate failed; everything was saved before.
        OrderError: the steps of compression are in an impossible order; nothing was done.
    """
    recipe = read_recipe(cfg)
    datamodule = instantiate(cfg.data.module)
    check_possible(recipe.artefacts, cfg.student.name, datamodule.geometry.fixed, datamodule.labels)
    check_files(cfg, datamodule)
    teacher = load_teacher(cfg, datamodule)
    network, architecture, parent = new_student(cfg, datamodule, teacher)
    recipe.check_training(network, datamodule.geometry.size)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    lineage = student_lineage(cfg, datamodule, teacher, network, terms, parent)
    start = parent.sha256 if parent else None
    claim_sources(cfg, {"data": lineage.data.sha256, **teacher.hashes, "student.checkpoint": start})

    saved = Path(cfg.run_dir) / "student.json"
    loggers: list[Any] | None = None
    if saved.is_file() and cfg.ckpt_path == "last":
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return {}
        log.info("reusing the finished student %s; ckpt_path=null trains it again", saved)
    else:
        module = build_module(cfg, network, terms, datamodule, teacher.source, teacher.own)
        if cfg.compile:  # in place, so that the names of the saved weights do not change
            network.compile()
        stopping = [instantiate(cfg.median_stopping)] if cfg.median_stopping else []
        trainer = fit(cfg, module, datamodule, [PredictionPictures(), *stopping])
        if not trainer.is_global_zero:
            return {}
        lineage = replace(lineage, val_miou=load_best(network, Path(cfg.run_dir) / "checkpoints"))
        recipe.discard_results(cfg.run_dir)
        save_network(saved, network, datamodule.labels, datamodule.geometry, architecture, lineage)
        loggers = trainer.loggers

    result, last = compress(cfg, recipe, datamodule, teacher, load_network(saved))
    return finish(cfg, datamodule, teacher, last.lineage, result, loggers)
