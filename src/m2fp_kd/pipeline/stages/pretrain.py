"""``stage=pretrain``: teach a backbone the features of a frozen network, on photos without labels."""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.checkpoints.backbone import save_backbone
from m2fp_kd.checkpoints.best import load_best
from m2fp_kd.data.pretraining import PhotoDataModule, pretraining_splits
from m2fp_kd.data.splits import Splits
from m2fp_kd.distill.training.feature_pretraining import MONITOR, FeaturePretraining
from m2fp_kd.distill.training.fit import fit
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.feature_teacher import build_feature_teacher
from m2fp_kd.pipeline.assemble.data import check_files
from m2fp_kd.pipeline.record.run_folder import claim_sources
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.provenance import without_folders

log = logging.getLogger(__name__)


def pretrain_backbone(cfg: DictConfig) -> dict[str, float]:
    """Pretrain the student's backbone and save it as ``backbone.safetensors``, which ``backbone.weights=`` takes.

    Returns:
        Losses and correlations of the training; empty on every process but the first.

    Raises:
        ValueError: there are no photos, or the teacher or its weights do not fit.
    """
    datamodule = _photos(cfg)
    check_files(cfg, datamodule)
    teacher = build_feature_teacher(cfg.pretrain.teacher, cfg.pretrain.teacher_weights, cfg.data.size)
    backbone = instantiate(cfg.backbone)
    weights = cfg.pretrain.teacher_weights
    hashes = {"data": datamodule.sha256(), "teacher": file_sha256(weights) if weights else None}
    claim_sources(cfg, hashes)
    module = FeaturePretraining(
        backbone,
        teacher,
        optimizer=instantiate(cfg.optimizer),
        schedule=instantiate(cfg.schedule),
        lr=cfg.lr,
        weight_decay=cfg.weight_decay,
        seed=cfg.seed,
    )
    if cfg.compile:  # in place, so that the names of the saved weights do not change
        backbone.compile()
    trainer = fit(cfg, module, datamodule, monitor=MONITOR)
    if not trainer.is_global_zero:
        return {}
    correlation = load_best(backbone, Path(cfg.run_dir) / "checkpoints", MONITOR)
    card = _card(cfg, hashes, len(datamodule.train), correlation)
    path = save_backbone(Path(cfg.run_dir) / "backbone.safetensors", backbone, card)
    log.info("best %s %.4f; saved %s: start from it with backbone.weights=%s", MONITOR, correlation, path, path)
    return {name: float(value) for name, value in trainer.callback_metrics.items()} | {MONITOR: correlation}


def _photos(cfg: DictConfig) -> PhotoDataModule:
    """Build the data module of the data sets' training photos and ``data.unlabelled``."""
    return PhotoDataModule(
        pretraining_splits(_data_sets(cfg), cfg.data.unlabelled),
        load_label_set(cfg.data.labels),
        cfg.data.size,
        cfg.data.batch_size,
        augmentation=instantiate(cfg.pretrain.augmentation),
        workers=cfg.data.module.workers,
        seed=cfg.seed,
    )


def _data_sets(cfg: DictConfig) -> list[Splits]:
    """Return the sources of a mix, or the one data set, or none if ``data.root=null``."""
    if "sources" in cfg.data:
        return [source.splits for source in instantiate(cfg.data.splits).values()]
    return [instantiate(cfg.data.splits)] if cfg.data.root is not None else []


def _card(cfg: DictConfig, hashes: dict[str, str | None], photos: int, correlation: float) -> dict[str, str]:
    """Return the known facts about a pretrained backbone."""
    facts = {
        "backbone": cfg.backbone.name,
        "teacher": without_folders(cfg.pretrain.teacher),
        "teacher_sha256": hashes["teacher"],
        "licence": cfg.pretrain.licence,
        "data": ", ".join(_data_names(cfg)),
        "data_sha256": hashes["data"],
        "photos": photos,
        "size": cfg.data.size,
        "epochs": cfg.trainer.max_epochs,
        "correlation": f"{correlation:.4f}",
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _data_names(cfg: DictConfig) -> list[str]:
    """Return the names of the data sets and folders that the photos come from."""
    known = list(cfg.data.get("sources", [cfg.data.name] if cfg.data.root is not None else []))
    folders = cfg.data.unlabelled or []
    return [*known, *(Path(folder).name for folder in ([folders] if isinstance(folders, str) else folders))]
