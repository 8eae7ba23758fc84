"""`m2fp-kd runs`: the reports of many runs in one table."""

import argparse
from pathlib import Path
from typing import Any

from m2fp_kd.command import teaching

HELP = """examples:
  m2fp-kd runs runs                             a row for each run, as Markdown
  m2fp-kd runs runs --gains                     a row for each objective: mean, spread over seeds, gain over its twin
  m2fp-kd runs runs --format html > runs.html   both tables and the Pareto front

The gain is measured against the labels-only twin: a run with the same settings and seed but without teacher.

Exit code: 0 printed, 2 there are no reports, or none to compare."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("runs", help="the reports of many runs in one table", **teaching(HELP))
    command.add_argument("folder", metavar="FOLDER", type=Path, help="searched with its subfolders")
    command.add_argument("--format", choices=["md", "csv", "html"], default="md")
    words = "one row per objective: mean and spread over seeds, gain over the labels-only twin"
    command.add_argument("--gains", action="store_true", help=words)
    command.set_defaults(run=run, extras="train")


def run(options: argparse.Namespace) -> int:
    """Print the table or the page of a folder of runs."""
    from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
    from m2fp_kd.evaluation.runs.gains import gains
    from m2fp_kd.evaluation.runs.gather import read_all, remarks, rounded, table
    from m2fp_kd.evaluation.runs.page import fronts, runs_page

    reports = read_all(options.folder)
    rows, objectives = table(reports), gains(list(reports.values()))
    if options.format == "html":
        print(runs_page(str(options.folder), fronts(rows), rounded(rows), objectives, remarks(rows)))
        return 0
    shown = objectives if options.gains else rows
    if not shown:
        raise ValueError(f"no run under {options.folder} was trained and scored, so there are no objectives to compare")
    if options.format == "csv":
        print(as_csv(shown))
        return 0
    print(as_markdown(shown if options.gains else rounded(rows)))
    for sentence in remarks(rows):
        print(f"\n{sentence}")
    return 0
