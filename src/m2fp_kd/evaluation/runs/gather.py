"""Read the reports of many runs and tabulate them, one row per run, with the Pareto front marked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.pareto import front
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import NOTABLE_CORES, RunReport
from m2fp_kd.evaluation.runs.comparisons import objective_terms

SHIPPED = "shipped"
"""The last model of a run."""

OTHERS = "cores used by others"
"""Column: mean number of CPU cores that other processes used while the time was measured."""

VAL = "val mIoU %"

# Column -> (model, dotted path of the quantity, factor, decimals for people).
RESULTS = {
    "teacher mIoU %": ("teacher", "miou", 100, 1),
    "fp32 mIoU %": ("student_fp32", "miou", 100, 1),
    "mIoU %": (SHIPPED, "miou", 100, 1),
    "boundary IoU %": (SHIPPED, "boundary.iou", 100, 1),
    "boundary F %": (SHIPPED, "boundary.f", 100, 1),
    "ECE %": (SHIPPED, "reliability.ece", 100, 1),
    "M parameters": (SHIPPED, "parameters", 1e-6, 2),
    "GMAC": (SHIPPED, "gmacs", 1, 2),
    "MB": (SHIPPED, "megabytes", 1, 2),
    "p50 ms": (SHIPPED, "p50_ms", 1, 2),
    "p95 ms": (SHIPPED, "p95_ms", 1, 2),
    OTHERS: (SHIPPED, "other_cores", 1, 1),
}

FRONT = "on the front"
FAILED = "FAILED"


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
        Rows with the keys "run", "data", "size" (longest side in pixels), "epochs", "lr", "backbone", "student",
        "objective", "temperature", "alpha", "seed", "compress", "val mIoU %" (of the best epoch, by which to choose an
        objective), "scored on" (photos of the following mIoU), "photos" (their number), "shipped" (the last model),
        those of RESULTS, "gates" ("passed", "FAILED" or None for a run without gates), and "on the front" (see
        `mark_front`). Figures have full precision; `rounded` is for people. Values that a run does not have are None.
    """
    return mark_front([{"run": run} | summarise(report) for run, report in reports.items()])


def mark_front(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the column "on the front", which marks the Pareto front of time and mIoU among runs on the same photos.

    It is "yes" if no other shipped model is at least as fast and as good and better in one of them, else "no"; None if
    time or mIoU is missing or a gate failed. Times are comparable only if one machine measured them.
    """
    marked = [row | {FRONT: None} for row in rows]
    able = [row for row in marked if row["gates"] != FAILED]
    measured = [row for row in able if row["p50 ms"] is not None and row["mIoU %"] is not None]
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
        "size": look_up(report.config, "data.size"),
        "epochs": look_up(report.config, "trainer.max_epochs"),
        "lr": look_up(report.config, "lr"),
        "backbone": lineage.backbone,
        "student": lineage.student,
        "objective": objective_terms(report) if objective else None,
        "temperature": objective and objective.temperature,
        "alpha": objective and objective.alpha,
        "seed": lineage.seed,
        "compress": look_up(report.config, "compress.name"),
        VAL: None if lineage.val_miou is None else 100 * lineage.val_miou,
        "scored on": report.data.scored_on,
        "photos": report.data.scored_photos,
    }
    shipped = list(report.models)[-1]
    row["shipped"] = shipped.removeprefix("student_")
    models = {key: asdict(model) for key, model in report.models.items()}
    models[SHIPPED] = models[shipped]
    for column, (model, quantity, factor, _) in RESULTS.items():
        value = look_up(models, f"{model}.{quantity}")
        row[column] = None if value is None else factor * value
    return row | {"gates": (FAILED if report.failed else "passed") if report.parity else None}


def rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of `table` for people: results rounded, without columns that are empty in every row."""
    filled = [column for column in rows[0] if any(row[column] is not None for row in rows)]
    return [{column: _rounded(column, row[column]) for column in filled} for row in rows]


def _rounded(column: str, value: Any) -> Any:
    decimals = {name: places for name, (_, _, _, places) in RESULTS.items()} | {VAL: 1}
    return round(value, decimals[column]) if column in decimals and value is not None else value


def remarks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences about what the rows of `table` cannot tell: times of a busy machine, failed gates."""
    busy = [row["run"] for row in rows if (row[OTHERS] or 0) > NOTABLE_CORES]
    failed = [row["run"] for row in rows if row["gates"] == FAILED]
    sentences = []
    if busy:
        sentences.append(
            f"Measured while other processes used the CPU ('{OTHERS}'), so their times are too long by an unknown "
            f"amount: {', '.join(busy)}. `m2fp-kd benchmark` measures artefacts again, alone and in turns."
        )
    if failed:
        sentences.append(f"Not on a front, because a gate failed: {', '.join(failed)}.")
    return sentences


def look_up(tree: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None if there is none."""
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
