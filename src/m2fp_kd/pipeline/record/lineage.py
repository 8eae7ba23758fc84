"""The lineage of a student, for its network file, its report and the cards of its artefacts."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn

from m2fp_kd.checkpoints.network import Network, original_architecture
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.objective import reads_teacher
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.models.parameters import count_parameters
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.provenance import DataSource, Lineage, ObjectiveSummary, Parent, TeacherCard
from m2fp_kd.shipped import CHECKOUT


def student_lineage(
    cfg: DictConfig,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    student: nn.Module,
    terms: Mapping[str, Mapping[str, Any]],
    parent: Parent | None,
) -> Lineage:
    """Return what is known about a student before it is trained; ``parent`` is the student that it starts from."""
    weights = cfg.backbone.weights
    active = {name: spec for name, spec in terms.items() if spec["weight"]}
    earlier = parent.lineage.licences if parent else ()
    labellers = datamodule.label_models()
    licences = [teacher.all.licence, *(model["licence"] for model in labellers), *earlier, cfg.data.licence]
    return Lineage(
        teacher=teacher.all,
        licences=tuple(dict.fromkeys(filter(None, licences))),
        parent=parent,
        data=DataSource(cfg.data.name, datamodule.sha256(), _names(labellers)),
        objective=ObjectiveSummary(
            terms={name: spec["weight"] for name, spec in active.items()},
            teacher_terms=tuple(name for name, spec in active.items() if reads_teacher(spec["term"])),
            alpha=cfg.distill.alpha,
            temperature=cfg.distill.temperature,
            anneal=cfg.distill.anneal,
        ),
        student=cfg.student.name,
        backbone=cfg.backbone.name,
        backbone_weights=weights or ("ImageNet" if cfg.backbone.pretrained else None),
        backbone_weights_sha256=file_sha256(weights) if weights and Path(weights).is_file() else None,
        parameters=count_parameters(student),
        seed=cfg.seed,
        git_commit=git_commit(),
    )


def teacher_lineage(network: M2FP, known: Lineage, sha256: str) -> Lineage:
    """Return the lineage of an M2FP that is compressed itself: it is its own teacher.

    Args:
        network: the M2FP.
        known: its lineage as a teacher.
        sha256: hash of its weight file.
    """
    return replace(
        known,
        teacher=TeacherCard(name=known.name, licence=known.licence, sha256=sha256),
        licences=(known.licence,) if known.licence else (),
        student="M2FP",
        backbone=known.name,
        parameters=count_parameters(network),
        git_commit=git_commit(),
    )


def saved_card(datamodule: ParsingDataModule, network: Network) -> Card:
    """Return the card of a saved student's fp32 artefact."""
    lineage = network.lineage
    head = "m2fp" if isinstance(network.module, M2FPStudent | M2FP) else "fpn"
    persons = head == "m2fp" and datamodule.labels.has_human and datamodule.has_persons
    licence = "; ".join(lineage.licences) or lineage.teacher.licence
    start = {"started from": lineage.parent.sha256} if lineage.parent else {}
    return Card(
        label_set=datamodule.labels.to_dict(),
        geometry=vars(datamodule.geometry).copy(),
        precision="fp32",
        head=head,
        backbone=original_architecture(network.architecture)["backbone"]["name"],
        people="persons" if persons else "none",
        teacher=replace(lineage.teacher, licence=licence),
        data=lineage.data,
        git_commit=lineage.git_commit,
        parents=start | {"student": network.sha256},
    )


def _names(models: list[dict[str, Any]]) -> str | None:
    """Return the models' names with the beginnings of their hashes."""
    return ", ".join(f"{model['name']} ({str(model['sha256'])[:12]})" for model in models) or None


def git_commit() -> str | None:
    """Return the commit of the code; None without git, and for an installed package, whatever repository it lies in."""
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
