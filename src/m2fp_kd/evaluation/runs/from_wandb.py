"""Runs' reports out of Weights & Biases, where every run with `logger=wandb` leaves its own as an artefact."""

from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport


def read_wandb(api: Any, project: str, folder: Path) -> dict[str, RunReport]:
    """The reports of a project's runs, as `gather.read_all` gives those of a folder.

    Args:
        api: a ``wandb.Api``.
        project: "ENTITY/PROJECT".
        folder: where each report is put with its pictures, in a folder of its run.

    Returns:
        Run, called by its name and id, -> report. Runs that did not get as far as a report are left out.

    Raises:
        ValueError: no run of the project has a report, or one is of a layout that this version does not know.
    """
    reports = {}
    for run in api.runs(project):
        logged = [artefact for artefact in run.logged_artifacts() if artefact.name.startswith(f"report-{run.id}:")]
        if logged:
            name = f"{run.name}-{run.id}"
            logged[-1].download(root=str(folder / name))
            reports[name] = read_report(folder / name / "report.json")
    if not reports:
        raise ValueError(f"no run of {project} in W&B has a report; a run logs it at its end, with logger=wandb")
    return reports
