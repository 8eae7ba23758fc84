"""Around Lightning's Trainer: the moving average of weights, and which states are written."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import nn

from m2fp_kd.distill.fit import AtomicCheckpointIO, SaveInterrupted, warmed_average
from m2fp_kd.distill.module import Distillation


def test_a_short_run_forgets_its_start() -> None:
    average, value = warmed_average(0.998), torch.tensor(100.0)
    for update in range(1, 101):
        value = average(value, torch.tensor(1.0), torch.tensor(update))
    assert value.item() == pytest.approx(1.0, abs=0.01)


def test_a_long_run_averages_at_the_decay_asked_for() -> None:
    average = warmed_average(0.9)
    assert average(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(10_000)).item() == pytest.approx(0.9)


def test_counters_are_not_averaged() -> None:
    assert warmed_average(0.9)(torch.tensor(3), torch.tensor(8), torch.tensor(100)).item() == 8


@pytest.mark.parametrize(
    ("exception", "stage", "saved"),
    [
        (KeyboardInterrupt(), "training", True),
        (MemoryError(), "training", True),
        (FloatingPointError(), "training", False),  # would only happen again
        (KeyboardInterrupt(), "validating", False),  # the weights may be the average's
        (KeyboardInterrupt(), "sanity_checking", False),
    ],
)
def test_an_interruption_is_saved_where_one_can_go_on_from_it(
    exception: BaseException, stage: str, saved: bool, tmp_path: Path
) -> None:
    written: list[Path] = []
    trainer: Any = SimpleNamespace(validating=False, sanity_checking=False, save_checkpoint=written.append)
    setattr(trainer, stage, True)
    SaveInterrupted(tmp_path / "interrupted.ckpt").on_exception(trainer, pl.LightningModule(), exception)
    assert written == ([tmp_path / "interrupted.ckpt"] if saved else [])


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def disk_full(self: object, content: object, path: Path, options: object = None) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TorchCheckpointIO, "save_checkpoint", disk_full)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_weights_that_are_not_finite_are_never_saved() -> None:
    diverged = nn.Linear(2, 2)
    with torch.no_grad():
        diverged.bias[1] = float("nan")
    module: Any = SimpleNamespace(named_parameters=diverged.named_parameters, global_step=7)
    with pytest.raises(FloatingPointError, match=r"bias is no longer finite at step 7.*last good epoch"):
        Distillation.on_save_checkpoint(module, {})
    nn.init.zeros_(diverged.bias)
    Distillation.on_save_checkpoint(module, {})
