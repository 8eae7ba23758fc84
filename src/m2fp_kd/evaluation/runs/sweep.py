"""Print and write the tables of a Hydra sweep (`python train.py -m …`): its runs, and the gains over their twin."""

from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from m2fp_kd.runtime.files import atomic_path

JOBS = "sweep.txt"


class ResultsTable(Callback):
    """After each job, print the reports of all jobs so far as a table and write ``sweep.csv``.

    If an objective has a labels-only twin, also print the gains over it and write ``gains.csv``.

    The tables are not left to the end of the sweep, because Hydra does not call its end if a job failed. A job that
    failed before its report is left out; Hydra shows its error. Jobs may run in processes of their own, so
    ``sweep.txt`` lists the folders of the sweep, one per line.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start an empty list of jobs."""
        jobs = Path(config.hydra.sweep.dir) / JOBS
        jobs.parent.mkdir(parents=True, exist_ok=True)
        jobs.write_text("")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add the job to the tables."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        # Hydra imports this file before every job, also before one that a wrong path ends at once.
        from m2fp_kd.evaluation.report.report import read_report
        from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
        from m2fp_kd.evaluation.runs.gains import NO_TWIN, gains
        from m2fp_kd.evaluation.runs.gather import table

        sweep = Path(config.hydra.sweep.dir)
        with (sweep / JOBS).open("a") as jobs:
            jobs.write(f"{config.run_dir}\n")
        reports = [Path(folder) / "report.json" for folder in (sweep / JOBS).read_text().splitlines()]
        found = {path.parent.name: read_report(path) for path in reports if path.is_file()}
        if not found:
            return
        rows, recipes = table(found), gains(list(found.values()))
        _write(sweep / "sweep.csv", as_csv(rows))
        print(f"\n{as_markdown(rows)}")
        if any(recipe["gain"] not in (None, NO_TWIN) for recipe in recipes):
            _write(sweep / "gains.csv", as_csv(recipes))
            print(f"\n{as_markdown(recipes)}")


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n")
