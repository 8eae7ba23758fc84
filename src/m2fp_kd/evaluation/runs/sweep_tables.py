"""The tables of a Hydra sweep: its runs with what the sweep varies, and the gains over their twin."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
from m2fp_kd.evaluation.runs.gains import NO_TWIN, gains
from m2fp_kd.evaluation.runs.gather import remarks, rounded, table
from m2fp_kd.runtime.files import atomic_path


@dataclass(frozen=True)
class Job:
    """A finished job: its report and the settings that its command line gives, as texts by key."""

    report: RunReport
    settings: dict[str, str]


def write_tables(jobs: Path, finished: str) -> None:
    """Write the tables of the jobs so far in full precision, and print a line about the job that has finished.

    Args:
        jobs: list of the jobs.
        finished: name of the run that has finished.
    """
    rows, objectives = tables(jobs)
    if rows:
        _write(jobs.with_suffix(".csv"), as_csv(rows))
        _print_line([row for row in rows if row["run"] == finished])
    if objectives:
        _write(jobs.with_name(jobs.name.replace("sweep", "gains")).with_suffix(".csv"), as_csv(objectives))


def print_tables(jobs: Path) -> None:
    """Print the tables of a sweep for people and the names of the files that hold them in full precision.

    Args:
        jobs: list of the jobs.
    """
    rows, objectives = tables(jobs)
    if not rows:
        return
    print(f"\n{as_markdown(rounded(rows))}")
    if objectives:
        print(f"\n{as_markdown(objectives)}")
    for sentence in remarks(rows):
        print(f"\n{sentence}")
    print(f"\nfull precision: {jobs.with_suffix('.csv')}")


def with_settings(rows: Sequence[Mapping[str, Any]], settings: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Insert a column behind the run's name for each setting that differs between the jobs.

    Args:
        rows: rows of `gather.table`.
        settings: settings of each row's job; a setting that a job does not give is None in its row.
    """
    keys = list(dict.fromkeys(key for one in settings for key in one))
    swept = [key for key in keys if len({one.get(key) for one in settings}) > 1]
    return [
        {"run": row["run"]} | {key: one.get(key) for key in swept} | {k: v for k, v in row.items() if k not in swept}
        for row, one in zip(rows, settings, strict=True)
    ]


def settings_of(overrides: Sequence[str]) -> dict[str, str]:
    """Return the settings of a command line by key: ``["+lr=1e-3"]`` gives ``{"lr": "1e-3"}``."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs}


def tables(jobs: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of the finished jobs, and those of their objectives if any has a gain."""
    found = _finished(jobs)
    if not found:
        return [], []
    reports = {run: job.report for run, job in found.items()}
    rows = with_settings(table(reports), [job.settings for job in found.values()])
    objectives = gains(list(reports.values()))
    return rows, objectives if any(one["gain"] not in (None, NO_TWIN) for one in objectives) else []


def _finished(jobs: Path) -> dict[str, Job]:
    """Return name of a run -> job, for the jobs that have a report."""
    found = {}
    for job in map(json.loads, jobs.read_text().splitlines()):
        path = Path(job["folder"]) / "report.json"
        if path.is_file():
            found[path.parent.name] = Job(read_report(path), settings_of(job["overrides"]))
    return found


def _print_line(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rounded(rows) if rows else []:
        shown = {name: row.get(name) for name in ("mIoU %", "scored on", "p50 ms", "MB", "gates")}
        facts = ", ".join(f"{name} {value}" for name, value in shown.items() if value is not None)
        print(f"finished {row['run']}: {facts}")


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n")
