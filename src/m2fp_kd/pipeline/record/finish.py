"""End a run: write its report and print its table before a failed gate fails the run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from m2fp_kd.compress.chain import CompressionResult
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.training.loggers import start_wandb
from m2fp_kd.evaluation.report.report import write_report
from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.report.summary import summary_table
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.pipeline.record.report import build_report
from m2fp_kd.pipeline.record.run_folder import sources
from m2fp_kd.pipeline.tracking import log_report
from m2fp_kd.runtime.artefact import load_checks, save_checks
from m2fp_kd.runtime.checks import Score
from m2fp_kd.runtime.provenance import Lineage


def finish(
    cfg: DictConfig,
    datamodule: ParsingDataModule,
    teacher: Teacher,
    lineage: Lineage,
    compression: CompressionResult,
    loggers: list[Any] | None = None,
) -> dict[str, float]:
    """Write the report, print its table, then raise if a gate failed; return the scores.

    Raises:
        ParityError: a gate failed.
    """
    artefacts = {f"student_{name}": path for name, path in compression.paths.items()}
    report, pictures = build_report(cfg, datamodule, teacher, artefacts, compression.parities, lineage)
    _write_scores(compression.paths, report)
    _, page = write_report(Path(cfg.run_dir), report, pictures)
    log_report(
        start_wandb(cfg) if loggers is None else loggers,
        report,
        pictures,
        Path(cfg.run_dir),
        sources(cfg).get("student.checkpoint"),
    )
    print(f"\n{summary_table(report)}\n\nreport: {page}")
    compression.raise_failed()
    return _metrics(report)


def _write_scores(paths: Mapping[str, Path], report: RunReport) -> None:
    """Write the scores of every artefact into its check results."""
    data = report.data
    for name, path in paths.items():
        found = report.models[f"student_{name}"]
        if found.miou is not None:
            photos, borders = f"{data.name}, {data.scored_on}", (found.boundary_iou, found.boundary_f)
            score = Score(photos, data.scored_photos or 0, found.miou, *borders)
            save_checks(path, replace(load_checks(path), score=score))


def _metrics(report: RunReport) -> dict[str, float]:
    """Return the scored mIoU of every model, and ``val/mIoU``, which is no test score, for choosing between runs."""
    scores = {f"{name}/mIoU": model.miou for name, model in report.models.items() if model.miou is not None}
    validation = report.lineage.val_miou  # unknown for a published checkpoint
    return scores if validation is None else scores | {"val/mIoU": validation}
