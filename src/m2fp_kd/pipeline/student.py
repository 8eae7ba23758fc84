"""The student: distilled, saved, compressed, scored, reported."""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer

from m2fp_kd.checkpoints.network import Network, load_network, save_network
from m2fp_kd.compress.callback import CompressAfterFit
from m2fp_kd.compress.steps import check_possible
from m2fp_kd.distill.callbacks import PredictionPictures
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.pipeline.finish import finish
from m2fp_kd.pipeline.identity import claim_sources
from m2fp_kd.pipeline.lineage import saved_card, student_lineage
from m2fp_kd.pipeline.shrink import compress, read_recipe, shrink
from m2fp_kd.pipeline.start import new_student
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
    network, network_recipe, parent = new_student(cfg, datamodule, teacher)
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    lineage = student_lineage(cfg, datamodule, teacher, network, terms, parent)
    claim_sources(
        cfg,
        {
            "data": lineage["data"]["sha256"],
            "teacher": teacher.card.get("sha256"),
            "teacher.bridge": teacher.card.get("bridge_sha256"),
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
    if cfg.compile:  # in place: what is saved stays as it is
        network.compile()
    save = SaveStudent(saved, Network(network, datamodule.labels, datamodule.geometry, network_recipe, lineage, ""))
    compression = CompressAfterFit(
        Path(cfg.run_dir) / "artefacts",
        lambda: saved_card(datamodule, load_network(saved)),
        recipe.first_artefacts,
        recipe.checks,
    )
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
