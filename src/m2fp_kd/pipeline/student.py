"""The student: distilled, saved, compressed, scored, reported."""

import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError, Network, load_network, load_strictly, save_network
from m2fp_kd.compress.callback import CompressAfterFit, SpreadPhotos, calibration_canvases
from m2fp_kd.compress.chain import CompressionResult, compress_student
from m2fp_kd.compress.parity import Gate
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.layouts import data_sha256
from m2fp_kd.distill.callbacks import PredictionPictures
from m2fp_kd.distill.fit import fit, load_best
from m2fp_kd.evaluation.report import RunReport, summary_table, write_report
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.pipeline.identity import claim_sources
from m2fp_kd.pipeline.report import build_report
from m2fp_kd.pipeline.teacher import Teacher, build_module, load_teacher
from m2fp_kd.pipeline.wandb import log_report
from m2fp_kd.runtime.artefact import Card

log = logging.getLogger(__name__)


def train_student(cfg: DictConfig) -> dict[str, float]:
    """Distil, quantise, check and report; a student that an earlier call of the same run has finished is reused.

    Raises:
        ParityError: a gate failed; everything is saved by then.
    """
    datamodule = instantiate(cfg.data.module)
    teacher = load_teacher(cfg, datamodule)
    network, parent = _new_student(cfg, datamodule)
    lineage = _lineage(cfg, datamodule, teacher, network, parent)
    claim_sources(
        cfg,
        {
            "data": lineage["data"]["sha256"],
            "teacher": teacher.card.get("sha256"),
            "student.checkpoint": parent["sha256"] if parent else None,
        },
    )
    saved = Path(cfg.run_dir) / "student.json"
    if saved.is_file() and cfg.ckpt_path == "last":
        log.info("%s is finished and taken as it is; ckpt_path=null trains it anew", saved)
        finished = load_network(saved)
        return _report(cfg, datamodule, teacher, finished.lineage, _compress(cfg, datamodule, finished))
    terms = {**instantiate(cfg.distill.terms), **instantiate(cfg.student.terms)}
    module = build_module(cfg, network, terms, datamodule, teacher.source)
    teacher_gives = teacher.source.gives if teacher.source is not None else frozenset()
    module.objective.check(teacher_gives, frozenset(cfg.student.gives))
    compression = CompressAfterFit(
        Path(cfg.run_dir) / "artefacts", _card(datamodule, network, lineage), _gates(cfg),
        cfg.compress.calibration_photos, cfg.compress.threads,
    )  # fmt: skip
    trainer = fit(cfg, module, datamodule, [PredictionPictures(), compression])
    if not trainer.is_global_zero or compression.results is None:
        return {}
    lineage["val/mIoU"] = load_best(module, Path(cfg.run_dir) / "checkpoints")
    recipe: Any = OmegaConf.to_container(cfg.student.network, resolve=True)
    save_network(saved.with_suffix(""), network, datamodule.labels, datamodule.geometry, recipe, lineage)
    return _report(cfg, datamodule, teacher, lineage, compression.results, trainer.loggers)


def cache_targets(cfg: DictConfig) -> dict[str, float]:
    """Fill the teacher's cache for the photos of the data, and nothing else."""
    if cfg.teacher.mode != "cached" or cfg.teacher.checkpoint is None:
        raise ValueError("stage=cache needs teacher=cached teacher.checkpoint=FILE")
    datamodule = instantiate(cfg.data.module)
    load_teacher(cfg, datamodule)
    return {"cached": float(len(datamodule.cache.names))}


def compress_saved(cfg: DictConfig) -> dict[str, float]:
    """Export, quantise, check and report a student that was trained before: ``student.checkpoint=PATH.json``."""
    if cfg.student.checkpoint is None:
        raise ValueError("stage=compress needs student.checkpoint=PATH, the student.json of a run")
    network = load_network(cfg.student.checkpoint)
    datamodule = instantiate(cfg.data.module)
    _require_same_parts(network, datamodule, cfg.student.checkpoint)
    if network.geometry != datamodule.geometry:
        raise ValueError(
            f"{cfg.student.checkpoint} was trained at {network.geometry.size} pixels, not {datamodule.geometry.size}; "
            f"add data.size={network.geometry.size}"
        )
    return _report(cfg, datamodule, load_teacher(cfg, datamodule), network.lineage, _compress(cfg, datamodule, network))


def _new_student(cfg: DictConfig, datamodule: ParsingDataModule) -> tuple[nn.Module, dict[str, Any] | None]:
    """A fresh student, or one that starts from ``student.checkpoint``, and where that comes from."""
    student = instantiate(cfg.student.network)
    if cfg.student.checkpoint is None:
        return student, None
    saved = load_network(cfg.student.checkpoint)
    _require_same_parts(saved, datamodule, cfg.student.checkpoint)
    load_strictly(student, saved.module.state_dict(), cfg.student.checkpoint)
    return student, {"file": str(cfg.student.checkpoint), "sha256": saved.sha256, "lineage": saved.lineage}


def _require_same_parts(network: Network, datamodule: ParsingDataModule, path: str) -> None:
    if isinstance(network.module, M2FP):
        raise CheckpointError(f"{path} holds a teacher; student.checkpoint wants the student.json of a run")
    if network.labels.parts != datamodule.labels.parts:
        raise CheckpointError(
            f"{path} knows the parts of '{network.labels.name}', the data those of '{datamodule.labels.name}'; "
            "choose data of the student's label set"
        )


def _compress(cfg: DictConfig, datamodule: ParsingDataModule, network: Network) -> CompressionResult:
    photos = SpreadPhotos(datamodule.train, datamodule.labels, cfg.compress.calibration_photos)
    card = _card(datamodule, network.module, network.lineage)
    return compress_student(
        network.module,
        Path(cfg.run_dir) / "artefacts",
        replace(card, parents=card.parents | {"student": network.sha256}),
        calibration_canvases(photos, datamodule.geometry),
        SpreadPhotos(datamodule.val, datamodule.labels),
        _gates(cfg),
        cfg.compress.threads,
    )


def _report(
    cfg: DictConfig,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    lineage: dict[str, Any],
    compression: CompressionResult,
    loggers: list[Any] | None = None,
) -> dict[str, float]:
    """Write the report, print its table, and only then let a failed gate fail the run."""
    artefacts = {f"student_{name}": path for name, path in compression.paths.items()}
    report = build_report(cfg, datamodule, teacher, artefacts, compression.parities, lineage)
    _, page = write_report(Path(cfg.run_dir), report)
    log_report(loggers or [], report, Path(cfg.run_dir))
    print(f"\n{summary_table(report)}\n\nreport: {page}")
    compression.raise_failed()
    return _metrics(report)


def _metrics(report: RunReport) -> dict[str, float]:
    """The scored mIoU of every model, and ``val/mIoU``, which recipes are to be chosen by: never a test score."""
    scores = {f"{name}/mIoU": model.miou for name, model in report.models.items() if model.miou is not None}
    return scores | {"val/mIoU": report.lineage["val/mIoU"]}


def _lineage(
    cfg: DictConfig, datamodule: ParsingDataModule, teacher: Teacher, student: nn.Module, parent: dict[str, Any] | None
) -> dict[str, Any]:
    """Where a student comes from: it stands in its recipe, its artefacts' cards and its report."""
    earlier = parent["lineage"]["licences"] if parent else []
    return {
        "teacher": teacher.card,
        # Of the teacher, and of the teachers of the student that this one started from.
        "licences": list(dict.fromkeys(filter(None, [teacher.card.get("licence"), *earlier]))),
        "parent": parent,
        "data": {"name": cfg.data.name, "sha256": data_sha256(datamodule.records)},
        "recipe": {
            "distill": list(cfg.distill.terms),
            "alpha": cfg.distill.alpha,
            "temperature": cfg.distill.temperature,
        },
        "student": cfg.student.name,
        "backbone": cfg.backbone.name,
        "backbone_weights": cfg.backbone.weights or ("ImageNet" if cfg.backbone.pretrained else None),
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "seed": cfg.seed,
        "git_commit": git_commit(),
    }


def _card(datamodule: ParsingDataModule, student: nn.Module, lineage: dict[str, Any]) -> Card:
    head = "m2fp" if isinstance(student, M2FPStudent) else "fpn"
    persons = head == "m2fp" and datamodule.labels.has_human and datamodule.has_persons
    return Card(
        label_set=datamodule.labels.to_dict(),
        geometry=vars(datamodule.geometry).copy(),
        precision="fp32",
        head=head,
        people="persons" if persons else "none",
        teacher=lineage["teacher"] | ({"licence": "; ".join(lineage["licences"])} if lineage["licences"] else {}),
        data=lineage["data"],
        git_commit=lineage["git_commit"],
        parents={"started from": lineage["parent"]["sha256"]} if lineage["parent"] else {},
    )


def _gates(cfg: DictConfig) -> dict[str, Gate]:
    return {name: Gate(**limits) for name, limits in cfg.compress.gates.items()}


def git_commit() -> str | None:
    """The commit of the code, where it is a checkout and git is installed."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
