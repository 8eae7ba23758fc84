"""Collect the jobs of a Hydra sweep (`python train.py -m …`), to print and write its tables."""

import atexit
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

SWEEP = "M2FP_KD_SWEEP"
"""Environment variable with the name of the sweep, which jobs in processes of their own inherit."""


class ResultsTable(Callback):
    """After each job, print a line and write ``sweep-TIME.csv``; print the table when the sweep ends.

    If an objective has a labels-only twin, also write ``gains-TIME.csv`` and print it at the end.

    The files are not left to the end of the sweep, and the table is printed when the process exits, because Hydra does
    not call its end if a job failed. A job that failed before its report is left out; Hydra shows its error. Jobs may
    run in processes of their own, so ``sweep-TIME.jsonl`` lists the jobs, one per line.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start an empty list of jobs."""
        os.environ[SWEEP] = f"{datetime.now():%Y-%m-%d-%H%M%S}"
        jobs = _jobs_file(config)
        jobs.parent.mkdir(parents=True, exist_ok=True)
        jobs.write_text("")
        atexit.register(print_at_end, jobs)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add the job to the files and print its line."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        jobs = _jobs_file(config)
        job = {"folder": str(config.run_dir), "overrides": list(config.hydra.overrides.task)}
        with jobs.open("a") as file:
            file.write(f"{json.dumps(job)}\n")
        # Hydra imports this file before every job, also before one that a wrong path ends at once.
        from m2fp_kd.evaluation.runs.sweep_tables import write_tables

        write_tables(jobs, Path(config.run_dir).name)


def print_at_end(jobs: Path) -> None:
    """Print the tables of a sweep for people."""
    from m2fp_kd.evaluation.runs.sweep_tables import print_tables

    print_tables(jobs)


def _jobs_file(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir) / f"sweep-{os.environ[SWEEP]}.jsonl"
