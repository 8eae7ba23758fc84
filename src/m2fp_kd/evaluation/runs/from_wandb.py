"""Read reports from Weights & Biases, where every run with `logger=wandb` logs its report as an artefact."""

from pathlib import Path
from typing import Any

from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport


def read_wandb(api: Any, project: str, folder: Path) -> dict[str, RunReport]:
    """Read the reports of a project's runs, like `gather.read_all` for a folder.

    Args:
        api: a ``wandb.Api``.
        project: "ENTITY/PROJECT".
        folder: folder to download to, with one subfolder for the report and pictures of each run.

    Returns:
        Name and id of a run -> report, without runs that have no report.

    Raises:
        ValueError: no run of the project has a report, or a report has a format that this version cannot read.
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
