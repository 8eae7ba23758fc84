"""``stage=teacher``: train an M2FP as a teacher."""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.checkpoints.best import load_best
from m2fp_kd.checkpoints.network import save_network
from m2fp_kd.distill.training.fit import fit
from m2fp_kd.labels import load_label_set
from m2fp_kd.pipeline.assemble.data import load_data
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.part_models import load_m2fp
from m2fp_kd.pipeline.record.run_folder import claim_sources
from m2fp_kd.pipeline.tracking import log_teacher
from m2fp_kd.runtime.provenance import DataSource, Lineage, Parent, TeacherCard

log = logging.getLogger(__name__)


def train_teacher(cfg: DictConfig) -> dict[str, float]:
    """Train an M2FP by matched mask classification and save it as ``teacher.json`` + ``teacher.safetensors``.

    Raises:
        ValueError: ``teacher.labels`` is another label set than the data's.
    """
    labels = load_label_set(cfg.data.labels)
    if load_label_set(cfg.teacher.labels).parts != labels.parts:
        raise ValueError(
            f"stage=teacher trains on the labels of the data, '{labels.name}'; "
            f"remove teacher.labels={cfg.teacher.labels}"
        )
    datamodule = load_data(cfg)
    parent: TeacherCard | None = None
    if cfg.teacher.checkpoint is None:
        network = instantiate(cfg.teacher.network)
    else:
        network, parent = load_m2fp(cfg.teacher.checkpoint, cfg, labels)
        network.requires_grad_(True)
    data = datamodule.sha256()
    claim_sources(cfg, {"data": data, "teacher.checkpoint": parent.sha256 if parent else None})
    module = build_module(cfg, network, instantiate(cfg.teacher.terms), datamodule, teacher=None)
    if cfg.compile:
        network.compile()
    trainer = fit(cfg, module, datamodule)
    if not trainer.is_global_zero:
        return {}
    score = load_best(network, Path(cfg.run_dir) / "checkpoints")
    architecture: Any = OmegaConf.to_container(cfg.teacher.network, resolve=True)
    lineage = Lineage(
        name=cfg.teacher.name,
        licence=parent.licence if parent else cfg.teacher.licence,  # fine-tuned weights keep their licence
        data=DataSource(cfg.data.name, data),
        parent=Parent.of_teacher(parent, str(cfg.teacher.checkpoint)) if parent else None,
        val_miou=score,
    )
    path = save_network(Path(cfg.run_dir) / "teacher", network, labels, module.geometry, architecture, lineage)
    log_teacher(trainer.loggers, path, lineage)
    log.info("best val/mIoU %.4f; saved the teacher as %s", score, path)
    return {name: float(value) for name, value in trainer.callback_metrics.items()} | {"val/mIoU": score}
