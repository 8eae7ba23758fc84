"""Load the teacher: a live network, its cached targets, or a class of the user's own."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint
from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.teacher_cache import TeacherCache, cache_key, stored_key
from m2fp_kd.distill.teachers.sources import CachedTeacher, LiveTeacher
from m2fp_kd.distill.teachers.target import TargetSource
from m2fp_kd.distill.teachers.tta import SINGLE_VIEW, Tta
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher, fill_cache, read_teacher_card, write_teacher_card
from m2fp_kd.labels import Bridge, LabelSet, find_bridge, load_label_set
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage, TeacherCard

log = logging.getLogger(__name__)

M2FP_LICENCE = "CC BY-NC 4.0 (M2FP's published weights: no commercial use)"


@dataclass
class Teacher:
    """A teacher as the stages use it.

    Attributes:
        source: returns the targets of a batch; None trains on labels alone.
        card: facts about the teacher, for cards and reports.
        whole: network for whole photos; None if only its cache is available.
    """

    source: TargetSource | None
    card: TeacherCard
    whole: WholePhotoTeacher | None = None


def load_m2fp(path: str | Path, cfg: DictConfig, labels: LabelSet) -> tuple[M2FP, TeacherCard]:
    """Load an M2FP and its card from a network file of this project or from a published checkpoint.

    Args:
        path: checkpoint.
        cfg: a published checkpoint is loaded into ``cfg.teacher.network``.
        labels: label set that the teacher should have.

    Raises:
        CheckpointError: the network is not an M2FP, its tensors do not fit, or its label set has other parts.
        FileNotFoundError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the checkpoint {path} does not exist; correct its path")
    if path.suffix in (".json", ".safetensors"):
        saved = load_network(path)
        if not isinstance(saved.module, M2FP):
            raise CheckpointError(f"{path} holds a {type(saved.module).__name__}; a teacher is an M2FP")
        if saved.labels.parts != labels.parts:
            raise CheckpointError(
                f"{path} has the {saved.labels.num_parts} parts of '{saved.labels.name}', not the "
                f"{labels.num_parts} of '{labels.name}'; set teacher.labels={saved.labels.name}, so that its students "
                "learn through a bridge between the label sets, or use a teacher of the data's label set"
            )
        network, lineage, sha256 = saved.module, saved.lineage, saved.sha256
    else:
        network = instantiate(cfg.teacher.network)
        load_m2fp_checkpoint(network, path)
        lineage, sha256 = Lineage(licence=M2FP_LICENCE), file_sha256(path)
    parameters = sum(weight.numel() for weight in network.parameters())
    return network, TeacherCard(
        name=lineage.name or path.stem,
        licence=lineage.licence,
        sha256=sha256,
        trained_on=lineage.data,
        parameters=parameters,
        megabytes=4e-6 * parameters,
        size=cfg.teacher.size,
        parts=labels.parts,
    )


def load_teacher(cfg: DictConfig, datamodule: ParsingDataModule) -> Teacher:
    """Load the teacher that ``cfg.teacher`` names; complete its cache if its weights are available.

    Raises:
        ValueError: the mode is unknown, test-time augmentation is set without a cache to fill, or no bridge leads from
            the teacher's label set to the data's.
        CacheError: a cache without weights lacks targets or its card, or belongs to another label set.
    """
    labels, mode = load_label_set(cfg.teacher.labels), cfg.teacher.mode
    if mode == "none":
        return Teacher(None, TeacherCard())
    if mode == "own":
        return Teacher(instantiate(cfg.teacher.source), TeacherCard(cfg.teacher.name, cfg.teacher.licence))
    if mode not in ("live", "cached"):
        raise ValueError(f"teacher.mode={mode} is not one of none, live, cached, own")
    bridge = find_bridge(labels, datamodule.labels, cfg.teacher.bridge)
    tta = Tta(**cfg.teacher.tta)
    if tta != SINGLE_VIEW and (mode == "live" or cfg.teacher.checkpoint is None):
        raise ValueError(
            "teacher.tta averages several views of whole photos, which only a cache can hold; "
            "use teacher=cached teacher.checkpoint=FILE"
        )
    if mode == "cached" and cfg.teacher.checkpoint is None:
        folder = Path(cfg.teacher.cache)
        datamodule.cache = TeacherCache(folder, stored_key(folder), bridge)
        return Teacher(CachedTeacher(), _bridged(read_teacher_card(folder, labels), bridge))
    network, card = load_m2fp(cfg.teacher.checkpoint, cfg, labels)
    fold_batch_norm(network.eval())
    whole = WholePhotoTeacher(network, labels, Geometry(cfg.teacher.size), datamodule.geometry, tta, bridge)
    if mode == "live":
        live = LiveTeacher(network, labels.num_parts, cfg.teacher.size, bridge)
        return Teacher(live, _bridged(card, bridge), whole)
    views = None if tta == SINGLE_VIEW else asdict(tta)
    card = replace(card, tta=views)
    key = cache_key(str(card.sha256), datamodule.geometry, whole.geometry, tta=views)
    folder = Path(cfg.teacher.cache) / key[:12]
    datamodule.cache = TeacherCache(folder, key, bridge)
    write_teacher_card(folder, card)
    network.to(_device(cfg))
    made = fill_cache(datamodule.cache, whole, datamodule.records)
    network.cpu()  # reports run it on the CPU
    log.info("teacher cache %s: computed %d targets, %d in total", folder, made, len(datamodule.cache.names))
    return Teacher(CachedTeacher(), _bridged(card, bridge), whole)


def _bridged(card: TeacherCard, bridge: Bridge | None) -> TeacherCard:
    return replace(card, bridge=bridge.name, bridge_sha256=bridge.sha256) if bridge else card


def _device(cfg: DictConfig) -> torch.device:
    """Return the device that training runs on."""
    if cfg.trainer.accelerator == "cpu":
        return torch.device("cpu")
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
