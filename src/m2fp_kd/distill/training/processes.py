"""The processes of a distributed training: when one of them ends, so do the others, with a message."""

import logging
import os
import signal
import threading
import time
from contextlib import AbstractContextManager
from subprocess import Popen

import pytorch_lightning as pl
import torch

log = logging.getLogger(__name__)

POLL, GRACE = 0.5, 60.0
"""Seconds between two looks at the other processes, and for this one to end by itself after another one has."""

NETWORK = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "socket", "process group")
"""Words in the errors of exchanges with a process that has ended."""


class ProcessLost(RuntimeError):
    """Raised where another process of a distributed training ended; the message says how to continue."""


class Watch(pl.Callback, AbstractContextManager):
    """Watch the other processes of a training on this machine, in place of Lightning's observer.

    That one kills the first process with SIGKILL up to 5 s after another one has ended, whatever it is doing: saving
    the state, or printing how to continue. Here an exchange with the lost process fails first, as gloo's do at once;
    a process that still waits for an answer after `GRACE` seconds, as NCCL's may, is ended.
    """

    def __init__(self) -> None:
        self._started: list[Popen] = []
        self._parent: int | None = None
        self._over = threading.Event()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        self._started = list(getattr(trainer.strategy.launcher, "procs", ()))
        self._parent = None if self._started or trainer.is_global_zero else os.getppid()
        for thread in threading.enumerate():
            if thread.name == "child-process-observer":
                thread._child_processes = []  # type: ignore[attr-defined]  # it ends where all of none have ended
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the states that the processes start from.

        Raises:
            ValueError: they differ, since the processes read different folders.
        """
        if trainer.world_size == 1:
            return
        own = torch.tensor(trainer.global_step, device=trainer.strategy.root_device)
        first, last = (int(trainer.strategy.reduce(own.clone(), reduce_op=which)) for which in ("min", "max"))
        if first != last:
            raise ValueError(
                f"the processes of this training resume from different steps, {first} and {last}: put run_dir in a "
                "folder that all machines share"
            )

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def lost(self) -> str | None:
        """Describe a process that has failed; None if all run or have ended well."""
        for rank, process in enumerate(self._started, start=1):
            if code := process.poll():
                return f"process {rank} of this training {_ending(code)}"
        if self._parent is not None and os.getppid() != self._parent:
            return "the first process of this training has ended"
        return None

    def explained(self, error: BaseException) -> str | None:
        """Describe the lost process behind an error; None if the error has another cause."""
        words = str(error).lower()
        if not isinstance(error, RuntimeError) or not any(word in words for word in NETWORK):
            return None
        until = time.monotonic() + 10 * POLL  # the system may not have reported the end yet
        while (lost := self.lost()) is None and time.monotonic() < until:
            time.sleep(POLL / 10)
        return lost or "another process of this training has ended"

    def _watch(self) -> None:
        while not self._over.wait(POLL):
            if (lost := self.lost()) and not self._over.wait(GRACE):
                log.error("%s, and this one still waits for it; the same command continues the run", lost)
                for process in self._started:
                    process.kill()
                os._exit(1)


def _ending(code: int) -> str:
    """Describe an exit code as Popen gives it, negative for a signal."""
    return f"ended with exit code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
