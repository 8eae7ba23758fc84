"""Two epochs on the sample in one of two processes, of which one may be killed in the middle of a step."""

import os
import signal
from pathlib import Path

from tests.distill.training.short_training import Mishap, train

STEP = 4
"""A step in the second of two epochs of three steps."""


def main(folder: Path, victim: int) -> None:
    """Train with BatchNorms as usual; kill the process of this rank, if there is one, after it has seen a batch."""
    mishap = Mishap(victim, STEP, lambda: os.kill(os.getpid(), signal.SIGKILL))
    train(
        "fpn", folder, "", "data.batch_size=2", "trainer.max_epochs=2", callbacks=[mishap], frozen=False
    )  # the cache of the sample is its teacher
