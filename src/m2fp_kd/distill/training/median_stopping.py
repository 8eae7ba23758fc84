"""Early stopping of a sweep's weak runs by the median stopping rule."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import pytorch_lightning as pl

from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.evaluation.report.results import RunReport

log = logging.getLogger(__name__)

Scores = Sequence[float]
"""Values of val/mIoU after each epoch."""


def below_median(scores: Scores, finished: Sequence[Scores], first_epochs: int, finished_runs: int) -> bool:
    """Whether a run's best score is below the median of the finished runs' best scores at the same epoch.

    The median stopping rule of Vizier (Golovin et al. 2017, section 3.2.2), with best scores on both sides.

    Args:
        scores: scores of the run so far.
        finished: scores of finished runs; runs with fewer epochs do not count.
        first_epochs: number of epochs in which no run is stopped.
        finished_runs: smallest number of finished runs to compare with.
    """
    epochs = len(scores)
    rivals = [max(other[:epochs]) for other in finished if len(other) >= epochs]
    return epochs > first_epochs and len(rivals) >= finished_runs and max(scores) < median(rivals)


def finished_scores(folder: Path, data: str, epochs: int) -> list[Scores]:
    """Read the scores of the runs under a folder that trained on these data for exactly ``epochs`` epochs.

    A report that is broken or of another version is left out with a warning, since the folder may have runs from before
    the sweep.
    """
    curves = [
        [score for _, score in report.curves.get("val/mIoU", [])]
        for report in _readable(sorted(folder.rglob("report.json")))
        if report.config.get("stage") == "train" and report.config["data"]["name"] == data
    ]
    return [curve for curve in curves if len(curve) == epochs]


def _readable(paths: Iterable[Path]) -> Iterator[RunReport]:
    for path in paths:
        try:
            yield read_report(path)
        except ValueError as error:
            log.warning("median stopping leaves out a report: %s", error)


class MedianStopping(pl.Callback):
    """Stop a run after an epoch in which it is `below_median`; its student is saved and reported like any other.

    Args:
        sweep: folder with the reports of finished runs.
        data: name of the data; runs on other data or with another number of epochs do not count.
        first_epochs: number of epochs in which no run is stopped.
        finished_runs: smallest number of finished runs to compare with.
    """

    def __init__(self, sweep: str | Path, data: str, first_epochs: int, finished_runs: int) -> None:
        self.sweep = Path(sweep)
        self.data = data
        self.first_epochs = first_epochs
        self.finished_runs = finished_runs
        self.scores: list[float] = []
        self.finished: list[Scores] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the scores of finished runs."""
        assert trainer.max_epochs is not None
        self.finished = finished_scores(self.sweep, self.data, trainer.max_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the run with the finished ones."""
        if trainer.sanity_checking:
            return
        self.scores.append(float(trainer.callback_metrics["val/mIoU"]))
        weak = below_median(self.scores, self.finished, self.first_epochs, self.finished_runs)
        # A run may have finished between the looks of two processes.
        if trainer.strategy.reduce_boolean_decision(weak, all=False):
            log.warning(
                "stopped after epoch %d: its best val/mIoU, %.3f, is below the median of %d finished runs",
                len(self.scores),
                max(self.scores),
                len(self.finished),
            )
            trainer.should_stop = True

    def state_dict(self) -> dict[str, list[float]]:
        """Return the scores so far, so that a resumed run is judged by all of its epochs."""
        return {"scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, list[float]]) -> None:
        """Restore earlier scores."""
        self.scores = list(state_dict["scores"])
