"""Signals during training: Ctrl-C, SIGTERM and SIGHUP stop it between two batches, in all of its processes."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from m2fp_kd.signals import leave

log = logging.getLogger(__name__)


class StopBetweenBatches(pl.Callback):
    """Handler of signals during `Trainer.fit`: finish the batch, so that the saved state is exactly that after it.

    Lightning stops between two batches for SIGTERM only; an interruption within a batch would leave batch
    normalisation with the statistics of a batch whose step is missing.

    The processes of a distributed training agree at the end of each batch whether one of them received a signal, and
    stop together. Lightning's own handler would exchange messages in the middle of a batch, where the other processes
    exchange gradients, and each process would stop after another batch: they would wait for each other for ever.

    Attributes:
        received: the first signal; None before any.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._trainer: pl.Trainer | None = None
        self._together = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is None:
            self.received = number
            log.warning("%s: stopping after this batch; Ctrl-C twice stops at once", signal.Signals(number).name)
        if self._together:
            return
        if number != signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)  # Lightning's own handler comes first there
        elif self._trainer is None or not self._trainer.received_sigterm:
            self._leave(self.received)  # Lightning does not listen before and after the loops

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._trainer = trainer

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._listen_together(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._listen_together(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._agree(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._agree(trainer)

    @property
    def exit_code(self) -> int:
        """Exit code of a program that the received signal stopped."""
        return 128 + (self.received or signal.SIGTERM)

    def _listen_together(self, trainer: pl.Trainer) -> None:
        """Take the place of Lightning's handler in a distributed training; Lightning restores the one before it."""
        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            self._together = True
            signal.signal(signal.SIGTERM, self)

    def _agree(self, trainer: pl.Trainer) -> None:
        """Let all processes know of a signal that one of them received; then Lightning ends the batch and stops."""
        if not self._together:
            return
        own = torch.tensor(self.received or 0, device=trainer.strategy.root_device)
        if number := int(trainer.strategy.reduce(own, reduce_op="max")):
            self.received = number
            trainer._signal_connector.received_sigterm = True

    def _leave(self, number: int) -> None:
        """Exit, and the processes that this one has started with it."""
        launcher = None if self._trainer is None else self._trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGTERM)
        leave(number)
