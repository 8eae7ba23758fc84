"""One line per epoch, for log files, where a progress bar would leave thousands."""

import logging
import math
from time import monotonic

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)


class EpochLines(pl.Callback):
    """Log the loss, the score and the time of every epoch.

    Args:
        monitor: name of the score.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.begun = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; an epoch that is resumed has no start of its own."""
        self.begun = monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.begun = monotonic()

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the line; its score is the last one, if validation is rarer than epochs."""
        scores = trainer.callback_metrics
        log.info(
            "epoch %d/%s: train/loss %.4f, %s %.4f, %.0f s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            float(scores.get("train/loss", math.nan)),
            self.monitor,
            float(scores.get(self.monitor, math.nan)),
            monotonic() - self.begun,
        )
