"""The saved state of a training: what is written, when, and which file a run resumes from."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor

from m2fp_kd.runtime.disk import require_space
from m2fp_kd.runtime.files import atomic_path

log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"

COPIES = 3
"""Checkpoints on disk at the same time: the best one, the last one, and the one that is being written."""


def resume_from(ckpt_path: str | None, folder: Path) -> str | None:
    """Return the checkpoint to resume from; None starts from scratch, ``last`` is the folder's newest one, if any."""
    if ckpt_path is None:
        return None
    if ckpt_path == "last":
        states = [path for name in ("last", INTERRUPTED) if (path := folder / f"{name}.ckpt").is_file()]
        return str(max(states, key=lambda path: path.stat().st_mtime_ns)) if states else None
    if Path(ckpt_path).is_file():
        return ckpt_path
    raise FileNotFoundError(f"ckpt_path={ckpt_path} does not exist; ckpt_path=last resumes this run's own state")


class MovedFolder(Callback):
    """Let a run resume whose folder was moved.

    Lightning forgets the best score if its checkpoints have another path than before, and the next epoch, however bad,
    would replace the best one.
    """

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the present path into the state of the folder that the loaded checkpoint is in."""
        for callback in trainer.checkpoint_callbacks:
            folder, states = callback.dirpath, checkpoint["callbacks"]  # type: ignore[attr-defined]
            if callback.state_key in states and Path(str(trainer.ckpt_path)).resolve().parent == Path(folder):
                state = states[callback.state_key]
                states[callback.state_key] = _moved(state, state["dirpath"], folder)


def _moved(state: Any, before: str, now: str) -> Any:
    """Return a state in which the path of a folder is replaced, in keys and values."""
    if isinstance(state, dict):
        return {_moved(key, before, now): _moved(value, before, now) for key, value in state.items()}
    return state.replace(before, now, 1) if isinstance(state, str) else state


class SaveInterrupted(Callback):
    """Save the state when an epoch is interrupted, so that training resumes with the epoch's next batch.

    Nothing is saved before training has begun, since a checkpoint to resume from is not loaded yet; after a NaN, which
    would recur; and during validation, since the weights may be the moving average's. The run then resumes from the
    last epoch's state. (Lightning's OnExceptionCheckpoint does not distinguish these cases, and turns
    ``ckpt_path=None`` into "last".)

    In the middle of a batch, such as where another process was lost, the state is that before the batch: the statistics
    of BatchNorms, which the forward pass has changed already, are those that the batch began with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun = False
        self._before: tuple[int, dict[str, Tensor]] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = True

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._before = trainer.global_step, {name: value.clone() for name, value in pl_module.named_buffers()}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._before = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.begun and not isinstance(exception, FloatingPointError) and not trainer.validating:
            self._restore(trainer, pl_module)
            try:
                self._save(trainer)
            except RuntimeError:  # behind the saving all processes wait for each other; one of them may be lost
                if trainer.world_size == 1:
                    raise
            except OSError as error:  # the reason of the interruption, such as a full disk, is the error to report
                log.warning("the state was not saved (%s)", error)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.world_size == 1 or trainer.received_sigterm:  # all processes stop here
            trainer.save_checkpoint(self.path)
        elif trainer.is_global_zero:
            # `Trainer.save_checkpoint` waits for the other processes, which wait elsewhere or are lost.
            trainer.strategy.save_checkpoint(trainer._checkpoint_connector.dump_checkpoint(), self.path)

    @torch.no_grad()
    def _restore(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._before is not None and self._before[0] == trainer.global_step:
            for name, value in self._before[1].items():
                pl_module.get_buffer(name).copy_(value)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write to a temporary file beside the checkpoint and rename it: a full disk or a kill leaves the last state whole.

    (Lightning's own writer keeps its temporary file on the system's disk for such files, and copies from there.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


def require_space_for_states(folder: Path, module: pl.LightningModule) -> None:
    """Refuse, before the first step, a training whose checkpoints have no space on the disk.

    A checkpoint has each trainable weight and two moments of AdamW. What the folder has already is written over.

    Raises:
        OSError: the disk has too little space; the error names the folder and both sizes.
    """
    weights = sum(weight.nbytes for weight in module.parameters() if weight.requires_grad)
    present = sum(path.stat().st_size for path in folder.glob("*.ckpt"))
    require_space(folder, COPIES * 3 * weights - present, "the training's checkpoints")
