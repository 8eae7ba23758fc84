"""One table of all runs of a Hydra sweep (`python train.py -m …`)."""

from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from m2fp_kd.evaluation.report import read_report
from m2fp_kd.evaluation.runs import as_csv, as_markdown, summarise
from m2fp_kd.runtime.files import atomic_path


class ResultsTable(Callback):
    """After each job, prints the reports of all jobs so far as a table and writes ``sweep.csv``.

    Not only at the end, which Hydra does not tell of where a job failed. A job that failed before it had a report is
    left out; Hydra shows its error.
    """

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        self.folders.append(Path(config.run_dir))
        reports = [folder / "report.json" for folder in self.folders]
        rows = [{"run": path.parent.name} | summarise(read_report(path)) for path in reports if path.is_file()]
        if not rows:
            return
        with atomic_path(Path(config.hydra.sweep.dir) / "sweep.csv") as temporary:
            temporary.write_text(as_csv(rows) + "\n")
        print(f"\n{as_markdown(rows)}")
