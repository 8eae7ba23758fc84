"""Compression as a Lightning callback: when training ends, its best student becomes checked artefacts."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from m2fp_kd.compress.chain import Checks, CompressionResult, make_artefacts
from m2fp_kd.compress.photos import SpreadPhotos, training_canvases
from m2fp_kd.compress.steps import ArtefactStep, Source
from m2fp_kd.runtime.artefact import Card

PREFIX = "student."


class CompressAfterFit(pl.Callback):
    """Exports and quantises the best checkpoint's student, on the first process only.

    A failed gate does not stop the run here: its report is written first, then `raise_failed` is called.

    Args:
        folder: every step writes into a folder of its own in it.
        card: gives the fp32 artefact's; asked when training has ended, since only then is it known what was trained.
        steps: what to make, in order.
        checks: how every hop is checked.

    Attributes:
        results: what was made; None before training has ended and on other processes.
    """

    def __init__(
        self, folder: str | Path, card: Callable[[], Card], steps: Sequence[ArtefactStep], checks: Checks
    ) -> None:
        self.folder = Path(folder)
        self.card = card
        self.steps = steps
        self.checks = checks
        self.results: CompressionResult | None = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compress what was trained, with the trainer's datamodule."""
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        student = best_student(pl_module.get_submodule("student"), best_checkpoint(trainer))
        source = Source(student, self.card(), training_canvases(data), SpreadPhotos(data.val, data.labels))
        self.results = make_artefacts(source, self.folder, self.steps, self.checks)

    def raise_failed(self) -> None:
        """Raise ParityError if a gate failed."""
        if self.results is not None:
            self.results.raise_failed()


def best_checkpoint(trainer: pl.Trainer) -> Path | None:
    """The checkpoint that is best by what it monitors; None if nothing was monitored."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.best_model_path:
            return Path(callback.best_model_path)
    return None


def best_student(student: nn.Module, checkpoint: Path | None) -> nn.Module:
    """A copy of the student on the CPU in eval mode, with a checkpoint's weights or, without one, its own.

    Raises:
        RuntimeError: the checkpoint holds another network's weights; missing, surplus and misshapen ones are listed.
    """
    student = copy.deepcopy(student).cpu().eval()
    if checkpoint is not None:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        student.load_state_dict(
            {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
        )
    return student
