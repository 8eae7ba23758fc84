"""One table of all runs of a Hydra sweep (`python train.py -m …`)."""

from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from m2fp_kd.evaluation.report import read_report
from m2fp_kd.evaluation.runs import as_csv, as_markdown, summarise
from m2fp_kd.runtime.files import atomic_path


class ResultsTable(Callback):
    """Remembers each job's folder; when the sweep ends, prints their reports as a table and writes ``sweep.csv``.

    A job that failed before it had a report is left out; Hydra has shown its error.
    """

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        self.folders.append(Path(config.run_dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        reports = [folder / "report.json" for folder in self.folders]
        rows = [{"run": path.parent.name} | summarise(read_report(path)) for path in reports if path.is_file()]
        if not rows:
            return
        with atomic_path(Path(config.hydra.sweep.dir) / "sweep.csv") as temporary:
            temporary.write_text(as_csv(rows) + "\n")
        print(f"\n{as_markdown(rows)}")
