"""Gather the reports of many runs into one table: ``python -m m2fp_kd.evaluation.runs FOLDER --format md|csv``."""

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report import read_report

# Column -> where it stands in the report's lineage, which a student keeps when it is compressed again.
LINEAGE = {
    "backbone": "backbone",
    "student": "student",
    "temperature": "recipe.temperature",
    "alpha": "recipe.alpha",
    "seed": "seed",
}

# Likewise in its configuration.
CONFIG = {"compress": "compress.name"}

SHIPPED = "shipped"
"""The last model of a run."""

# Column -> (model, quantity, factor that makes it readable, decimals).
RESULTS = {
    "teacher mIoU %": ("teacher", "miou", 100, 1),
    "fp32 mIoU %": ("student_fp32", "miou", 100, 1),
    "mIoU %": (SHIPPED, "miou", 100, 1),
    "M parameters": (SHIPPED, "parameters", 1e-6, 2),
    "GMAC": (SHIPPED, "gmacs", 1, 2),
    "MB": (SHIPPED, "megabytes", 1, 2),
    "p50 ms": (SHIPPED, "p50_ms", 1, 2),
}


def gather(folder: Path) -> list[dict[str, Any]]:
    """One row per ``report.json`` under a folder, in the order of their paths.

    Returns:
        Rows with the keys "run" (path relative to `folder`), those of LINEAGE, "val mIoU %" (the best epoch's: what to
        choose a recipe by), "scored on" (which photos the mIoU after it are of), "shipped" (the last model), those of
        RESULTS, and "gates" ("passed", "FAILED" or None for a run without gates); None is what a run does not have.

    Raises:
        FileNotFoundError: no report lies under the folder.
        ValueError: a file named ``report.json`` is not a report.
    """
    folder = Path(folder)
    paths = sorted(folder.rglob("report.json"))
    if not paths:
        raise FileNotFoundError(f"no report.json under {folder}; a run writes one when it ends (make train)")
    return [{"run": path.parent.relative_to(folder).as_posix()} | summarise(read_report(path)) for path in paths]


def summarise(report: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one report, as read from JSON."""
    row = {column: look_up(report["lineage"], path) for column, path in LINEAGE.items()}
    row |= {column: look_up(report["config"], path) for column, path in CONFIG.items()}
    validation = report["lineage"].get("val/mIoU")
    row |= {
        "val mIoU %": None if validation is None else round(100 * validation, 1),
        "scored on": report["data"].get("scored_on"),
    }
    shipped = list(report["models"])[-1]
    row["shipped"] = shipped.removeprefix("student_")
    models = report["models"] | {SHIPPED: report["models"][shipped]}
    for column, (model, quantity, factor, decimals) in RESULTS.items():
        value = models.get(model, {}).get(quantity)
        row[column] = None if value is None else round(factor * value, decimals)
    passed = all(hop["passed"] for hop in report["parity"])
    return row | {"gates": ("passed" if passed else "FAILED") if report["parity"] else None}


def look_up(tree: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None if there is none."""
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; a row's missing value is a dash."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [["–" if value is None else str(value).replace("|", "\\|") for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A CSV table with a header; a missing value is an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().rstrip("\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a folder of runs."""
    command = argparse.ArgumentParser(description="Gather the reports of many runs into one table.")
    command.add_argument("folder", type=Path)
    command.add_argument("--format", choices=["md", "csv"], default="md")
    options = command.parse_args(arguments)
    try:
        rows = gather(options.folder)
    except (FileNotFoundError, ValueError) as error:
        command.error(str(error))
    print(as_csv(rows) if options.format == "csv" else as_markdown(rows))


if __name__ == "__main__":
    main()
