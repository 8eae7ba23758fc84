"""Read the reports of many runs and tabulate them, one row per run, with the Pareto front marked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.pareto import front
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport

SHIPPED = "shipped"
"""The last model of a run."""

# Column -> (model, dotted path of the quantity, factor for display, decimals).
RESULTS = {
    "teacher mIoU %": ("teacher", "miou", 100, 1),
    "fp32 mIoU %": ("student_fp32", "miou", 100, 1),
    "mIoU %": (SHIPPED, "miou", 100, 1),
    "ECE %": (SHIPPED, "reliability.ece", 100, 1),
    "M parameters": (SHIPPED, "parameters", 1e-6, 2),
    "GMAC": (SHIPPED, "gmacs", 1, 2),
    "MB": (SHIPPED, "megabytes", 1, 2),
    "p50 ms": (SHIPPED, "p50_ms", 1, 2),
}


FRONT = "on the front"


def read_all(folder: Path) -> dict[str, RunReport]:
    """Read every ``report.json`` under a folder, by the run's path relative to the folder, in sorted order.

    Raises:
        FileNotFoundError: there is no report under the folder.
        ValueError: a file named ``report.json`` is not a report.
    """
    folder = Path(folder)
    paths = sorted(folder.rglob("report.json"))
    if not paths:
        raise FileNotFoundError(f"no report.json under {folder}; a run writes one when it ends (make train)")
    return {path.parent.relative_to(folder).as_posix(): read_report(path) for path in paths}


def table(reports: Mapping[str, RunReport]) -> list[dict[str, Any]]:
    """Return one row per report.

    Returns:
        Rows with the keys "run", "data", "backbone", "student", "temperature", "alpha", "seed", "compress",
        "val mIoU %" (of the best epoch, by which to choose an objective), "scored on" (photos of the following mIoU),
        "shipped" (the last model), those of RESULTS, "gates" ("passed", "FAILED" or None for a run without gates), and
        "on the front" (see `mark_front`). Values that a run does not have are None.
    """
    return mark_front([{"run": run} | summarise(report) for run, report in reports.items()])


def mark_front(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the column "on the front", which marks the Pareto front of time and mIoU among runs on the same photos.

    It is "yes" if no other shipped model is at least as fast and as good and better in one of them, else "no"; None if
    time or mIoU is missing. Times are comparable only if one machine measured them.
    """
    marked = [row | {FRONT: None} for row in rows]
    measured = [row for row in marked if row["p50 ms"] is not None and row["mIoU %"] is not None]
    for kind in {(row["data"], row["scored on"]) for row in measured}:
        rivals = [row for row in measured if (row["data"], row["scored on"]) == kind]
        best = front([(row["p50 ms"], -row["mIoU %"]) for row in rivals])
        for index, row in enumerate(rivals):
            row[FRONT] = "yes" if index in best else "no"
    return marked


def summarise(report: RunReport) -> dict[str, Any]:
    """Return the columns of one report; the lineage is the student's, which a later compression keeps."""
    lineage, objective = report.lineage, report.lineage.objective
    row = {
        "data": lineage.data.name,
        "backbone": lineage.backbone,
        "student": lineage.student,
        "temperature": objective and objective.temperature,
        "alpha": objective and objective.alpha,
        "seed": lineage.seed,
        "compress": look_up(report.config, "compress.name"),
        "val mIoU %": None if lineage.val_miou is None else round(100 * lineage.val_miou, 1),
        "scored on": report.data.scored_on,
    }
    shipped = list(report.models)[-1]
    row["shipped"] = shipped.removeprefix("student_")
    models = {key: asdict(model) for key, model in report.models.items()}
    models[SHIPPED] = models[shipped]
    for column, (model, quantity, factor, decimals) in RESULTS.items():
        value = look_up(models, f"{model}.{quantity}")
        row[column] = None if value is None else round(factor * value, decimals)
    return row | {"gates": ("FAILED" if report.failed else "passed") if report.parity else None}


def look_up(tree: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None if there is none."""
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
