"""Signals during training: Ctrl-C, SIGTERM and SIGHUP stop it between two batches."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], Any]

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Call ``handler`` for the signals that stop a program, unless they are ignored, as SIGHUP is under `nohup`.

    Python allows handlers in the main thread only; in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def leave(number: int, frame: FrameType | None = None) -> None:
    """Exit with the code that a shell gives to a program that this signal killed, such as 143 for SIGTERM.

    Raises:
        SystemExit: always.
    """
    raise SystemExit(128 + number)


class StopBetweenBatches:
    """Handler of signals during `Trainer.fit`: finish the batch, so that the saved state is exactly that after it.

    Lightning stops between two batches for SIGTERM only; an interruption within a batch would leave batch
    normalisation with the statistics of a batch whose step is missing.

    Args:
        trainer: the trainer whose `fit` runs.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer = trainer
        self.received: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is None:
            self.received = number
            log.warning("%s: stopping after this batch; Ctrl-C twice stops at once", signal.Signals(number).name)
        if number != signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)  # Lightning's own handler comes first there
        elif not self.trainer.received_sigterm:  # Lightning does not listen before and after the loops
            leave(self.received)

    @property
    def exit_code(self) -> int:
        """Exit code of a program that the received signal stopped."""
        return 128 + (self.received or signal.SIGTERM)
