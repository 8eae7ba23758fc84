"""The state that an interrupted training saves, and disks without space for it."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from m2fp_kd.distill.training.saved_state import AtomicCheckpointIO, SaveInterrupted, require_space_for_states
from tests.hostile.disk import full


@pytest.mark.parametrize(
    ("exception", "begun", "validating", "saved"),
    [
        (KeyboardInterrupt(), True, False, True),
        (MemoryError(), True, False, True),
        (FloatingPointError(), True, False, False),  # would recur
        (KeyboardInterrupt(), True, True, False),  # the weights may be the average's
        (KeyboardInterrupt(), False, False, False),  # the weights are still those of the start
    ],
)
def test_an_interruption_is_saved_only_if_it_can_be_resumed(
    exception: BaseException, begun: bool, validating: bool, saved: bool, tmp_path: Path
) -> None:
    written: list[Path] = []
    trainer: Any = SimpleNamespace(validating=validating, world_size=1, save_checkpoint=written.append)
    callback = SaveInterrupted(tmp_path / "interrupted.ckpt")
    if begun:
        callback.on_train_start(trainer, pl.LightningModule())
    callback.on_exception(trainer, pl.LightningModule(), exception)
    assert written == ([tmp_path / "interrupted.ckpt"] if saved else [])


@pytest.mark.parametrize(("stepped", "kept"), [(False, 0.0), (True, 1.0)])
def test_an_interrupted_batch_leaves_no_trace_in_batch_norms(stepped: bool, kept: float, tmp_path: Path) -> None:
    saved: list[float] = []
    module = pl.LightningModule()
    module.norm = nn.BatchNorm1d(1, momentum=1.0)
    trainer: Any = SimpleNamespace(validating=False, world_size=1, global_step=3)
    trainer.save_checkpoint = lambda path: saved.append(module.norm.running_mean.item())
    callback = SaveInterrupted(tmp_path / "interrupted.ckpt")
    callback.on_train_start(trainer, module)
    callback.on_train_batch_start(trainer, module, None, 0)
    module.norm(torch.tensor([[0.5], [1.5]]))
    if stepped:
        trainer.global_step = 4
    callback.on_exception(trainer, module, RuntimeError("connection closed"))
    assert saved == [kept]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    """The error names the checkpoint, not a temporary file, and nothing else is left behind."""
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    with full(), pytest.raises(OSError) as error:
        AtomicCheckpointIO().save_checkpoint({"epoch": 2, "weights": torch.zeros(10_000)}, path)
    assert error.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 1}


@pytest.mark.parametrize(
    ("free", "present", "refused"), [(3599, 0, True), (3600, 0, False), (2599, 1000, True), (2600, 1000, False)]
)
def test_a_training_without_space_for_its_checkpoints_is_refused(
    free: int, present: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 weights of 4 bytes: three checkpoints of 1,200 bytes."""
    module = pl.LightningModule()
    module.student, module.teacher = nn.Linear(99, 1), nn.Linear(9, 9).requires_grad_(False)
    (tmp_path / "last.ckpt").write_bytes(bytes(present))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    if refused:
        with pytest.raises(OSError, match=r"no space left .the training.s checkpoints need 0 MB more") as error:
            require_space_for_states(tmp_path, module)
        assert error.value.filename == str(tmp_path)
    else:
        require_space_for_states(tmp_path, module)


def test_the_reason_of_an_interruption_is_reported_though_its_state_cannot_be_saved(tmp_path: Path) -> None:
    def refused(path: Path) -> None:
        raise OSError(28, "No space left on device")

    trainer: Any = SimpleNamespace(validating=False, world_size=1, save_checkpoint=refused)
    callback = SaveInterrupted(tmp_path / "interrupted.ckpt")
    callback.on_train_start(trainer, pl.LightningModule())
    callback.on_exception(trainer, pl.LightningModule(), MemoryError())
