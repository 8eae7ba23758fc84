"""Runs of a sweep that will not become one of the good ones are stopped early."""

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytorch_lightning as pl

from m2fp_kd.evaluation.report.report import read_report

log = logging.getLogger(__name__)

Scores = Sequence[float]
"""val/mIoU after each epoch."""


def below_median(scores: Scores, finished: Sequence[Scores], first_epochs: int, finished_runs: int) -> bool:
    """Whether a run's best score is below the median of what finished runs had reached at the same epoch.

    The median stopping rule of Vizier (Golovin et al. 2017, section 3.2.2), with best scores on both sides.

    Args:
        scores: of the run, so far.
        finished: of finished runs; those that had fewer epochs do not count.
        first_epochs: in which no run is stopped.
        finished_runs: fewest runs to compare with.
    """
    epochs = len(scores)
    rivals = [max(other[:epochs]) for other in finished if len(other) >= epochs]
    return epochs > first_epochs and len(rivals) >= finished_runs and max(scores) < median(rivals)


def finished_scores(folder: Path, data: str, epochs: int) -> list[Scores]:
    """`Scores` of the runs under a folder that trained on these data for all of so many epochs."""
    reports = [read_report(path) for path in sorted(folder.rglob("report.json"))]
    curves = [
        [score for _, score in report.curves.get("val/mIoU", [])]
        for report in reports
        if report.config.get("stage") == "train" and report.config["data"]["name"] == data
    ]
    return [curve for curve in curves if len(curve) == epochs]


class MedianStopping(pl.Callback):
    """Stops a run after an epoch in which it `below_median`; what it has learnt is saved and reported like any other's.

    Args:
        sweep: folder under which finished runs have left their reports.
        data: name of the data; runs on others do not count, nor do those of another number of epochs.
        first_epochs: in which no run is stopped.
        finished_runs: fewest runs to compare with.
    """

    def __init__(self, sweep: str | Path, data: str, first_epochs: int, finished_runs: int) -> None:
        self.sweep = Path(sweep)
        self.data = data
        self.first_epochs = first_epochs
        self.finished_runs = finished_runs
        self.scores: list[float] = []
        self.finished: list[Scores] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read what finished runs had reached."""
        assert trainer.max_epochs is not None
        self.finished = finished_scores(self.sweep, self.data, trainer.max_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look back at the epoch."""
        if trainer.sanity_checking:
            return
        self.scores.append(float(trainer.callback_metrics["val/mIoU"]))
        if below_median(self.scores, self.finished, self.first_epochs, self.finished_runs):
            log.warning(
                "stopped after epoch %d: its best val/mIoU, %.3f, is below the median of %d finished runs",
                len(self.scores),
                max(self.scores),
                len(self.finished),
            )
            trainer.should_stop = True

    def state_dict(self) -> dict[str, list[float]]:
        """The scores so far: a resumed run is judged by all of its epochs."""
        return {"scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, list[float]]) -> None:
        """Go on from earlier scores."""
        self.scores = list(state_dict["scores"])
