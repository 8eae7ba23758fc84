"""Load the frozen networks of a teacher, whatever `teacher.checkpoint` names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint
from m2fp_kd.checkpoints.network import CheckpointError, load_network
from m2fp_kd.distill.teachers.artefacts import is_artefact
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.labels import Bridge, LabelSet, find_bridge, load_label_set
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.pipeline.assemble import foreign
from m2fp_kd.preflight.options import check_rules
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.licence import strictest
from m2fp_kd.runtime.provenance import Lineage, TeacherCard

M2FP_LICENCE = "CC BY-NC 4.0 (M2FP's published weights: no commercial use)"

NETWORK_FILES = (".json", ".safetensors")

OF_A_MEMBER = {
    "checkpoint", "labels", "classes", "normalisation", "bridge", "size", "licence", "network", "backbone",
}  # fmt: skip
"""Settings of ``teacher`` that a member of an ensemble may have for itself."""


def load_part_models(cfg: DictConfig, student: LabelSet) -> list[PartModel]:
    """Load the network that ``cfg.teacher.checkpoint`` names, or the networks of an ensemble.

    Raises:
        ValueError: no bridge leads from a network's label set to the student's, or a member of an ensemble has settings
            that a teacher lacks; like the errors of `load_part_model`, it names the member.
    """
    return [load_part_model(member, student) for member in ensemble_members(cfg)]


def ensemble_members(cfg: DictConfig) -> list[DictConfig]:
    """Return one configuration per entry of the list ``cfg.teacher.checkpoint``; the configuration itself without one.

    An entry is a checkpoint, or a mapping of a checkpoint and other settings of ``teacher`` for this member alone.

    Raises:
        ValueError: the list is empty, or an entry is a mapping without a checkpoint or with an unknown setting.
    """
    entries = cfg.teacher.checkpoint
    if not isinstance(entries, ListConfig | DictConfig):
        return [cfg]
    return [
        member_settings(cfg, entry) for entry in (entries if isinstance(entries, ListConfig) else [entries])
    ] or _no_member()


def _no_member() -> list[DictConfig]:
    raise ValueError("teacher.checkpoint is an empty list; name one file, or [A,B] for an ensemble")


def member_settings(cfg: DictConfig, entry: Any, defaults: Mapping[str, Any] | None = None) -> DictConfig:
    """Return the configuration of one network: ``entry`` is a checkpoint, or a mapping of it and other settings.

    Args:
        cfg: configuration whose ``teacher`` gives the other settings.
        entry: checkpoint, or mapping of ``checkpoint`` and settings of ``teacher``.
        defaults: settings that replace those of ``teacher`` unless the entry sets them.

    Raises:
        ValueError: the entry names no checkpoint, an unknown setting, or an impossible value.
    """
    settings = dict(entry) if isinstance(entry, Mapping | DictConfig) else {"checkpoint": entry}
    if unknown := sorted(str(name) for name in set(settings) - OF_A_MEMBER):
        raise ValueError(
            f"teacher.checkpoint={entry} sets {', '.join(unknown)}, which an entry cannot set; write an entry as "
            "{checkpoint: FILE, labels: SET, size: PIXELS}"
        )
    if not isinstance(settings.get("checkpoint"), str):
        raise ValueError(f"teacher.checkpoint={entry} names no file; write an entry as {{checkpoint: FILE}}")
    member = OmegaConf.masked_copy(cfg, list(cfg))
    member.teacher.checkpoint = None
    merged = cast(DictConfig, OmegaConf.merge(member, {"teacher": {**(defaults or {}), **settings}}))
    check_rules(merged, "teacher.")
    return merged


def load_part_model(cfg: DictConfig, student: LabelSet) -> PartModel:
    """Load one network of any kind and find its bridge to the student's label set.

    Args:
        cfg: configuration whose ``teacher.checkpoint`` names a network file of this project, a published M2FP, an
            exported model or the folder of one, or a model of `transformers` by its folder or its name on the hub.
        student: label set of the student.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: it is broken, its label set has other parts than ``teacher.labels``, or it cannot be run.
        ArtefactError: the card of an artefact is broken or describes another file.
        EngineError: no engine runs an exported model.
        ValueError: no bridge leads from ``teacher.labels`` to the student's label set, or a class is no part of it.
    """
    labels = load_label_set(cfg.teacher.labels)
    bridge = find_bridge(labels, student, cfg.teacher.bridge)
    path = Path(cfg.teacher.checkpoint)
    if foreign.is_hugging_face(cfg.teacher.checkpoint):
        module, side, card = foreign.load_transformers_model(cfg, labels)
    elif path.is_dir() or is_artefact(path):
        module, side, card = foreign.load_exported(cfg, labels)
    else:
        module, card = load_teacher_network(path, cfg, labels)
        side = int(card.size or cfg.data.size)
        fold_batch_norm(module.eval())
    return PartModel(module, labels, Geometry(side), bridge, bridged(replace(card, size=side), bridge))


def bridged(card: TeacherCard, bridge: Bridge | None) -> TeacherCard:
    """Return a card with the facts about a bridge."""
    return replace(card, bridge=bridge.name, bridge_sha256=bridge.sha256) if bridge else card


def load_m2fp(path: str | Path, cfg: DictConfig, labels: LabelSet) -> tuple[M2FP, TeacherCard]:
    """Load an M2FP and its card, to train or compress it; see `load_teacher_network`.

    Raises:
        CheckpointError: the network is not an M2FP, its tensors do not fit, or its label set has other parts.
    """
    module, card = load_teacher_network(path, cfg, labels)
    if not isinstance(module, M2FP):
        raise CheckpointError(f"{path} holds a {type(module).__name__}, not an M2FP; name the teacher.json of an M2FP")
    return module, card


def load_teacher_network(path: str | Path, cfg: DictConfig, labels: LabelSet) -> tuple[nn.Module, TeacherCard]:
    """Load a network file of this project, of any kind of network, or a published M2FP, and its card.

    Args:
        path: checkpoint.
        cfg: a published checkpoint is loaded into ``cfg.teacher.network``.
        labels: label set that the network should have.

    Raises:
        CheckpointError: its tensors do not fit, or its label set has other parts.
        FileNotFoundError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the checkpoint {path} does not exist; correct its path")
    if path.suffix in NETWORK_FILES:
        saved = load_network(path)
        foreign.require_parts(path, saved.labels, labels)
        size = foreign.input_size(cfg, saved.geometry.size)
        return saved.module, _card(saved.module, path, saved.lineage, saved.sha256, cfg, size)
    network = instantiate(cfg.teacher.network)
    load_m2fp_checkpoint(network, path)
    size = foreign.input_size(cfg)
    return network, _card(network, path, Lineage(licence=M2FP_LICENCE), file_sha256(path), cfg, size)


def _card(module: nn.Module, path: Path, lineage: Lineage, sha256: str, cfg: DictConfig, size: int) -> TeacherCard:
    parameters = count_parameters(module)
    return TeacherCard(
        name=lineage.name or _name(lineage) or path.stem,
        licence=lineage.licence or strictest(lineage.licences) or cfg.teacher.licence,
        sha256=sha256,
        trained_on=lineage.data,
        parameters=parameters,
        megabytes=4e-6 * parameters,
        size=size,
        parts=load_label_set(cfg.teacher.labels).parts,
    )


def _name(lineage: Lineage) -> str | None:
    """Return the name of a student that teaches, such as "fpn-resnet50"."""
    return f"{lineage.student}-{lineage.backbone}" if lineage.student and lineage.backbone else None
