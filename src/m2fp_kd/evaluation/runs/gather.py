"""The reports of many runs, one row each, and which of them no other beats."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.pareto import front
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport

SHIPPED = "shipped"
"""The last model of a run."""

# Column -> (model, dotted path of the quantity, factor that makes it readable, decimals).
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
    """Every ``report.json`` under a folder, by its run's path relative to it, in the order of their paths.

    Raises:
        FileNotFoundError: no report lies under the folder.
        ValueError: a file named ``report.json`` is not a report.
    """
    folder = Path(folder)
    paths = sorted(folder.rglob("report.json"))
    if not paths:
        raise FileNotFoundError(f"no report.json under {folder}; a run writes one when it ends (make train)")
    return {path.parent.relative_to(folder).as_posix(): read_report(path) for path in paths}


def table(reports: Mapping[str, RunReport]) -> list[dict[str, Any]]:
    """One row per report.

    Returns:
        Rows with the keys "run", "data", "backbone", "student", "temperature", "alpha", "seed", "compress",
        "val mIoU %" (the best epoch's: what to choose a recipe by), "scored on" (which photos the mIoU after it are
        of), "shipped" (the last model), those of RESULTS, "gates" ("passed", "FAILED" or None for a run without gates),
        and "on the front" (see `mark_front`); None is what a run does not have.
    """
    return mark_front([{"run": run} | summarise(report) for run, report in reports.items()])


def mark_front(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with a column "on the front": "yes" where no other shipped model of photos of the same kind is both as fast
    and as good and better in one; None where time or mIoU is missing. Times compare only where one machine took them.
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
    """Return the columns of one report; the lineage is the student's, which it keeps when it is compressed again."""
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
    """The value at a dotted path; None if there is none."""
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
