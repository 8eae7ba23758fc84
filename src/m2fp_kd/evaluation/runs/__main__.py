"""``python -m m2fp_kd.evaluation.runs FOLDER``: one table of all runs, or of what their recipes gain."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m2fp_kd.evaluation.report.pareto import Point, draw_front
from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
from m2fp_kd.evaluation.runs.gains import gains
from m2fp_kd.evaluation.runs.gather import FRONT, read_all, table
from m2fp_kd.evaluation.runs.page import runs_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a folder of runs."""
    command = argparse.ArgumentParser(
        prog="python -m m2fp_kd.evaluation.runs", description="Gather the reports of many runs into one table."
    )
    command.add_argument("folder", type=Path)
    command.add_argument("--format", choices=["md", "csv", "html"], default="md")
    command.add_argument(
        "--gains", action="store_true", help="one row per recipe: mean and spread over seeds, gain over the twin"
    )
    options = command.parse_args(arguments)
    try:
        reports = read_all(options.folder)
    except (FileNotFoundError, ValueError) as error:
        command.error(str(error))
    rows = table(reports)
    recipes = gains(list(reports.values()))
    if options.format == "html":
        points = [
            Point(row["run"], row["backbone"] or "M2FP", row["p50 ms"], row["mIoU %"], row[FRONT] == "yes")
            for row in rows
            if row[FRONT] is not None
        ]
        picture = draw_front(points, "mIoU %", "every run's shipped model") if points else None
        print(runs_page(str(options.folder), picture, rows, recipes))
        return
    shown = recipes if options.gains else rows
    if not shown:
        command.error(f"no run under {options.folder} was trained and scored, so there are no recipes to compare")
    print(as_csv(shown) if options.format == "csv" else as_markdown(shown))


if __name__ == "__main__":
    main()
