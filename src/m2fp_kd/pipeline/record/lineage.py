"""Where a student comes from, as its recipe, its report and the cards of its artefacts say it."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn

from m2fp_kd.checkpoints.network import Network, original_recipe
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import data_sha256
from m2fp_kd.distill.objective import reads_teacher
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.pipeline.build.teacher import Teacher
from m2fp_kd.runtime.artefact import Card


def student_lineage(
    cfg: DictConfig,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    student: nn.Module,
    terms: Mapping[str, Mapping[str, Any]],
    parent: dict[str, Any] | None,
) -> dict[str, Any]:
    """What is known of a student before it is trained; ``parent`` is the student that it starts from."""
    active = {name: spec for name, spec in terms.items() if spec["weight"]}
    earlier = parent["lineage"]["licences"] if parent else []
    return {
        "teacher": teacher.card,
        # Of the teacher, and of the teachers of the student that this one started from.
        "licences": list(dict.fromkeys(filter(None, [teacher.card.get("licence"), *earlier]))),
        "parent": parent,
        "data": {"name": cfg.data.name, "sha256": data_sha256(datamodule.records)},
        "recipe": {
            "terms": {name: spec["weight"] for name, spec in active.items()},
            "teacher_terms": [name for name, spec in active.items() if reads_teacher(spec["term"])],
            "alpha": cfg.distill.alpha,
            "temperature": cfg.distill.temperature,
            "anneal": cfg.distill.anneal,
        },
        "student": cfg.student.name,
        "backbone": cfg.backbone.name,
        "backbone_weights": cfg.backbone.weights or ("ImageNet" if cfg.backbone.pretrained else None),
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "seed": cfg.seed,
        "git_commit": git_commit(),
    }


def teacher_lineage(network: M2FP, card: dict[str, Any]) -> dict[str, Any]:
    """Of an M2FP that is compressed itself: it has no other teacher than itself.

    Args:
        network: the M2FP.
        card: what is known of it: name, licence, hash, data, score.
    """
    return {
        "teacher": {key: card.get(key) for key in ("name", "licence", "sha256")},
        "licences": [licence] if (licence := card.get("licence")) else [],
        "parent": card.get("parent"),
        "data": card.get("data") or {},
        "student": "M2FP",
        "backbone": card.get("name"),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "val/mIoU": card.get("val/mIoU"),
        "git_commit": git_commit(),
    }


def student_card(datamodule: ParsingDataModule, student: nn.Module, lineage: dict[str, Any]) -> Card:
    """Of a student's fp32 artefact."""
    head = "m2fp" if isinstance(student, M2FPStudent | M2FP) else "fpn"
    persons = head == "m2fp" and datamodule.labels.has_human and datamodule.has_persons
    return Card(
        label_set=datamodule.labels.to_dict(),
        geometry=vars(datamodule.geometry).copy(),
        precision="fp32",
        head=head,
        backbone=lineage.get("backbone"),
        people="persons" if persons else "none",
        teacher=lineage["teacher"] | ({"licence": "; ".join(lineage["licences"])} if lineage["licences"] else {}),
        data=lineage["data"],
        git_commit=lineage["git_commit"],
        parents={"started from": lineage["parent"]["sha256"]} if lineage["parent"] else {},
    )


def saved_card(datamodule: ParsingDataModule, network: Network) -> Card:
    """Of a saved student's fp32 artefact."""
    card = student_card(datamodule, network.module, network.lineage)
    parents = card.parents | {"student": network.sha256}
    return replace(card, backbone=original_recipe(network.recipe)["backbone"]["name"], parents=parents)


def git_commit() -> str | None:
    """The commit of the code, where it is a checkout and git is installed."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
