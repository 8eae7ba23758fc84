"""Compression as a Lightning callback: when training ends, its best student becomes checked artefacts."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from m2fp_kd.compress.chain import CompressionResult, compress_student
from m2fp_kd.compress.parity import Gate
from m2fp_kd.data.dataset import DrawnPhotos, Photos, StoredPhotos
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import Photo
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry, place

PREFIX = "student."


class CompressAfterFit(pl.Callback):
    """Exports and quantises the best checkpoint's student, on the first process only.

    A failed gate does not stop the run here: its report is written first, then `raise_failed` is called.

    Args:
        folder: gets `fp32/` and `int8/`.
        card: of the fp32 artefact.
        gates: limits of "fp32" and of "int8".
        calibration_photos: how many training photos INT8 is calibrated on.
        threads: CPU threads of the engine; None leaves it to the engine.

    Attributes:
        results: what was made; None before training has ended and on other processes.
    """

    def __init__(
        self,
        folder: str | Path,
        card: Card,
        gates: Mapping[str, Gate],
        calibration_photos: int = 300,
        threads: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.card = card
        self.gates = gates
        self.calibration_photos = calibration_photos
        self.threads = threads
        self.results: CompressionResult | None = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compress what was trained, with the trainer's datamodule."""
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        self.results = compress_student(
            best_student(pl_module.get_submodule("student"), best_checkpoint(trainer)),
            self.folder,
            self.card,
            calibration_canvases(SpreadPhotos(data.train, data.labels, self.calibration_photos), data.geometry),
            SpreadPhotos(data.val, data.labels),
            self.gates,
            self.threads,
        )

    def raise_failed(self) -> None:
        """Raise ParityError if a gate failed."""
        if self.results is not None:
            self.results.raise_failed()


class SpreadPhotos:
    """One side of a datamodule, read anew whenever it is gone through; of synthetic scenes, those of epoch 0.

    Args:
        source: a datamodule's `train` or `val`.
        labels: their label set.
        limit: take at most this many, evenly spaced; None for all.
    """

    def __init__(self, source: Sequence[Record] | DrawnPhotos, labels: LabelSet, limit: int | None = None) -> None:
        self.photos: Photos = source if isinstance(source, DrawnPhotos) else StoredPhotos(source, labels)
        count = len(self.photos)
        self.indices = [round(index) for index in np.linspace(0, count - 1, min(count, limit or count))]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Photo]:
        return (self.photos.photo(0, index) for index in self.indices)


def calibration_canvases(photos: Iterable[Photo], geometry: Geometry) -> Iterator[NDArray[np.uint8]]:
    """Photos as validation places them, uint8 (1, h, w, 3) each."""
    return (place(photo.image, geometry)[0][None] for photo in photos)


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
