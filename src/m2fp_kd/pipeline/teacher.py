"""The teacher: trained here, or loaded from a file, then asked live or through its cache."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint
from m2fp_kd.checkpoints.network import CheckpointError, load_network, save_network
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import data_sha256
from m2fp_kd.data.teacher_cache import TeacherCache, cache_key, stored_key
from m2fp_kd.distill.bridged import BridgedTeacher
from m2fp_kd.distill.ensemble import SINGLE, Ensemble
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.distill.module import Distillation, example_output
from m2fp_kd.distill.objective import build_objective
from m2fp_kd.distill.targets import WholePhotoTeacher, fill_cache, read_teacher_card, write_teacher_card
from m2fp_kd.distill.teachers import CachedTeacher, LiveTeacher
from m2fp_kd.labels import LabelSet, find_bridge, load_label_set
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.pipeline.identity import claim_sources
from m2fp_kd.pipeline.tracking import log_teacher
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry

log = logging.getLogger(__name__)

M2FP_LICENCE = "CC BY-NC 4.0 (M2FP's published weights: no commercial use)"


@dataclass
class Teacher:
    """A teacher as the student's stages use it.

    Attributes:
        source: gives the targets of a batch; None trains on labels alone.
        card: name, licence, hash and figures of the weights, for cards and reports; empty without a teacher.
        whole: asks the network about whole photos, where its weights are at hand.
    """

    source: CachedTeacher | LiveTeacher | None
    card: dict[str, Any]
    whole: WholePhotoTeacher | None = None


def build_module(
    cfg: DictConfig,
    network: nn.Module,
    terms: Mapping[str, Any],
    datamodule: ParsingDataModule,
    teacher: CachedTeacher | LiveTeacher | None,
) -> Distillation:
    """The training recipe around a network; ``terms`` as for `build_objective`.

    Raises:
        ValueError: a term reads what this teacher or this network does not give, or there are photos that no term
            learns anything from.
    """
    objective = build_objective(terms, datamodule.labels)
    if datamodule.needs_teacher and not objective.reads_teacher():
        raise ValueError(
            "of unlabelled photos only a teacher says anything, and no term of the objective listens to one: add "
            "teacher=cached teacher.checkpoint=FILE distill=classic, or leave them out by data.unlabelled_ratio=0"
        )
    if datamodule.needs_teacher and not objective.reads_teacher(0.99):  # a teacher that fades by the very end stays
        log.warning("the teacher fades, and unlabelled photos teach nothing after that: distill.fade=null lets it stay")
    example = example_output(network, datamodule.labels.num_parts)
    gives = frozenset(name for name in ("queries", "features") if getattr(example, name) is not None)
    objective.check(teacher.gives if teacher is not None else frozenset(), gives)
    if example.features is not None:
        channels = teacher.channels if isinstance(teacher, LiveTeacher) else None
        objective.connect(example.features.shape[1], channels)
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
    )


def train_teacher(cfg: DictConfig) -> dict[str, float]:
    """Train an M2FP by matched mask classification and save it as ``teacher.json`` + ``teacher.safetensors``.

    Raises:
        ValueError: ``teacher.labels`` is another label set than the data's.
    """
    labels = load_label_set(cfg.data.labels)
    if load_label_set(cfg.teacher.labels).parts != labels.parts:
        raise ValueError(
            f"stage=teacher trains on the labels of the data, '{labels.name}'; "
            f"leave out teacher.labels={cfg.teacher.labels}"
        )
    datamodule = instantiate(cfg.data.module)
    parent: dict[str, Any] | None = None
    if cfg.teacher.checkpoint is None:
        network = instantiate(cfg.teacher.network)
    else:
        network, parent = load_m2fp(cfg.teacher.checkpoint, cfg, labels)
        network.requires_grad_(True)
    data = data_sha256(datamodule.records)
    claim_sources(cfg, {"data": data, "teacher.checkpoint": parent["sha256"] if parent else None})
    module = build_module(cfg, network, instantiate(cfg.teacher.terms), datamodule, teacher=None)
    if cfg.compile:
        network.compile()
    trainer = fit(cfg, module, datamodule)
    score = load_best(module, Path(cfg.run_dir) / "checkpoints")
    recipe: Any = OmegaConf.to_container(cfg.teacher.network, resolve=True)
    lineage = {
        "name": cfg.teacher.name,
        # What starts from others' weights stays under their licence.
        "licence": parent["licence"] if parent else cfg.teacher.licence,
        "data": {"name": cfg.data.name, "sha256": data},
        "parent": parent,
        "val/mIoU": score,
    }
    path = save_network(Path(cfg.run_dir) / "teacher", network, labels, module.geometry, recipe, lineage)
    log_teacher(trainer.loggers, path, lineage)
    log.info("best val/mIoU %.4f; teacher saved as %s", score, path)
    return {name: float(value) for name, value in trainer.callback_metrics.items()} | {"val/mIoU": score}


def load_m2fp(path: str | Path, cfg: DictConfig, labels: LabelSet) -> tuple[M2FP, dict[str, Any]]:
    """The M2FP in a checkpoint and its card: one of our own .json files, or a published checkpoint.

    Args:
        path: the checkpoint.
        cfg: a published checkpoint is loaded into ``cfg.teacher.network``.
        labels: those that the teacher is said to know.

    Raises:
        CheckpointError: not an M2FP, the tensors do not fit, or the teacher knows other parts.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the checkpoint {path} does not exist")
    if path.suffix in (".json", ".safetensors"):
        saved = load_network(path)
        if not isinstance(saved.module, M2FP):
            raise CheckpointError(f"{path} holds a {type(saved.module).__name__}; a teacher is an M2FP")
        if saved.labels.parts != labels.parts:
            raise CheckpointError(
                f"{path} knows the {saved.labels.num_parts} parts of '{saved.labels.name}', not the "
                f"{labels.num_parts} of '{labels.name}'; say teacher.labels={saved.labels.name}, and its students "
                "learn through a bridge between the label sets, or use a teacher of the data's own"
            )
        card = {
            "sha256": saved.sha256,
            "trained_on": saved.lineage.get("data"),
            "licence": saved.lineage.get("licence"),
        }
        network, name = saved.module, saved.lineage.get("name", path.stem)
    else:
        network = instantiate(cfg.teacher.network)
        load_m2fp_checkpoint(network, path)
        card, name = {"sha256": file_sha256(path), "licence": M2FP_LICENCE}, path.stem
    parameters = sum(weight.numel() for weight in network.parameters())
    figures = {"parameters": parameters, "megabytes": 4e-6 * parameters, "size": cfg.teacher.size}
    return network, {"name": name} | card | figures | {"parts": list(labels.parts)}


def load_teacher(cfg: DictConfig, datamodule: ParsingDataModule) -> Teacher:
    """What ``cfg.teacher`` asks for; a cache is completed first, where the teacher's weights are at hand.

    Raises:
        ValueError: an unknown mode, an ensemble of a teacher that is not asked once and for all, or no bridge from the
            teacher's label set to the data's.
        CacheError: a cache without weights lacks targets or its card, or is of another label set.
    """
    labels, mode = load_label_set(cfg.teacher.labels), cfg.teacher.mode
    if mode == "none":
        return Teacher(None, {})
    if mode not in ("live", "cached"):
        raise ValueError(f"teacher.mode={mode} is not one of none, live, cached")
    bridge = find_bridge(labels, datamodule.labels, cfg.teacher.bridge)
    crossed = {} if bridge is None else {"bridge": bridge.name, "bridge_sha256": bridge.sha256}
    ensemble = Ensemble(**cfg.teacher.ensemble)
    if ensemble != SINGLE and (mode == "live" or cfg.teacher.checkpoint is None):
        raise ValueError(
            "teacher.ensemble looks at whole photos several times, once and for all; "
            "use teacher=cached teacher.checkpoint=FILE"
        )
    if mode == "cached" and cfg.teacher.checkpoint is None:
        folder = Path(cfg.teacher.cache)
        datamodule.cache = TeacherCache(folder, stored_key(folder), bridge)
        return Teacher(CachedTeacher(), read_teacher_card(folder, labels) | crossed)
    network, card = load_m2fp(cfg.teacher.checkpoint, cfg, labels)
    fold_batch_norm(network.eval())
    whole = WholePhotoTeacher(network, labels, Geometry(cfg.teacher.size), datamodule.geometry, ensemble, bridge)
    if mode == "live":
        size = cfg.teacher.size
        live = BridgedTeacher(network, bridge, size) if bridge else LiveTeacher(network, labels.num_parts, size)
        return Teacher(live, card | crossed, whole)
    looks = None if ensemble == SINGLE else asdict(ensemble)
    card |= {} if looks is None else {"ensemble": looks}
    key = cache_key(card["sha256"], datamodule.geometry, whole.geometry, ensemble=looks)
    folder = Path(cfg.teacher.cache) / key[:12]
    datamodule.cache = TeacherCache(folder, key, bridge)
    write_teacher_card(folder, card)
    network.to(_device(cfg))
    made = fill_cache(datamodule.cache, whole, datamodule.records)
    network.cpu()  # where reports ask it
    log.info("teacher cache %s: %d targets made, %d in all", folder, made, len(datamodule.cache.names))
    return Teacher(CachedTeacher(), card | crossed, whole)


def _device(cfg: DictConfig) -> torch.device:
    """Where training runs."""
    if cfg.trainer.accelerator == "cpu":
        return torch.device("cpu")
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
