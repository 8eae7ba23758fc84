"""A Lightning callback that compresses, for trainings outside this project's own pipeline."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from m2fp_kd.checkpoints.best import load_student
from m2fp_kd.compress.chain import CompressionResult, make_artefacts
from m2fp_kd.compress.options import CheckSettings
from m2fp_kd.compress.photos import SpreadPhotos, training_canvases
from m2fp_kd.compress.source import Source
from m2fp_kd.compress.steps import ArtefactStep
from m2fp_kd.runtime.artefact import Card


class CompressAfterFit(pl.Callback):
    """Compress the best checkpoint's ``student`` when training ends, on the first process only.

    A failed gate does not raise here, so that a report can be written first; call `raise_failed` after that.

    Args:
        folder: folder in which every step writes into a folder of its own.
        card: returns the card of the fp32 artefact; called when training has ended.
        steps: steps that write artefacts, in order.
        checks: how every hop is checked.

    Attributes:
        results: artefacts; None before training has ended and on other processes.
    """

    def __init__(
        self, folder: str | Path, card: Callable[[], Card], steps: Sequence[ArtefactStep], checks: CheckSettings
    ) -> None:
        self.folder = Path(folder)
        self.card = card
        self.steps = steps
        self.checks = checks
        self.results: CompressionResult | None = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compress the trained network with the trainer's data module."""
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        student = copy.deepcopy(pl_module.get_submodule("student")).cpu().eval()
        if checkpoint := best_checkpoint(trainer):
            load_student(student, checkpoint)
        source = Source(student, self.card(), training_canvases(data), SpreadPhotos(data.validation_photos()))
        self.results = make_artefacts(source, self.folder, self.steps, self.checks)

    def raise_failed(self) -> None:
        """Raise ParityError if a gate failed."""
        if self.results is not None:
            self.results.raise_failed()


def best_checkpoint(trainer: pl.Trainer) -> Path | None:
    """Return the checkpoint that is best by the figure it monitors, or None if no callback monitors one."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.best_model_path:
            return Path(callback.best_model_path)
    return None
