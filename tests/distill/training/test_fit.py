"""Training with Lightning's Trainer: the moving average of weights, what is kept, and resuming."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.types import RunMode
from torch import Tensor, nn

from m2fp_kd.distill.training.fit import refuse_sweep_of_processes, warmed_average
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.distill.training.saved_state import AtomicCheckpointIO
from tests.distill.training.counter import STEPS, Counter, train


def test_a_short_run_forgets_its_start() -> None:
    average, value = warmed_average(0.998), torch.tensor(100.0)
    for update in range(1, 101):
        value = average(value, torch.tensor(1.0), torch.tensor(update))
    assert value.item() == pytest.approx(1.0, abs=0.01)


def test_a_long_run_averages_at_the_given_decay() -> None:
    average = warmed_average(0.9)
    assert average(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(10_000)).item() == pytest.approx(0.9)


@pytest.mark.parametrize(("updates", "decay"), [(0, 0.1), (2, 0.25), (8, 0.5), (26, 0.75), (27, 0.75), (10_000, 0.75)])
def test_the_decay_rises_to_the_given_one(updates: int, decay: float) -> None:
    found = warmed_average(0.75)(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(updates))
    assert found.item() == pytest.approx(decay)


def test_counters_are_not_averaged() -> None:
    assert warmed_average(0.9)(torch.tensor(3), torch.tensor(8), torch.tensor(100)).item() == 8


@pytest.mark.parametrize("name", ["bias", "running_var"])
def test_weights_and_statistics_that_are_not_finite_are_never_saved(name: str) -> None:
    module: Any = nn.BatchNorm1d(2)
    module.global_step = 7
    Distillation.on_save_checkpoint(module, {})
    with torch.no_grad():
        getattr(module, name)[1] = float("nan")
    with pytest.raises(FloatingPointError, match=rf"{name} is no longer finite at step 7.*last good epoch"):
        Distillation.on_save_checkpoint(module, {})


def test_last_resumes_and_null_starts_from_scratch(tmp_path: Path) -> None:
    first, again, fresh = Counter(), Counter(), Counter()
    trainer = train(tmp_path, first, epochs=1)
    assert isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO)
    train(tmp_path, again, epochs=2)
    assert (first.steps, again.steps, again.weight.item()) == ([0, 1, 2], [3, 4, 5], 6)
    train(tmp_path, fresh, epochs=1, ckpt_path=None)
    assert (fresh.steps, fresh.weight.item()) == ([0, 1, 2], 3)


def test_every_epoch_can_be_resumed_even_if_the_score_no_longer_rises(tmp_path: Path) -> None:
    train(tmp_path, Counter(scores=(0.6, 0.4, 0.2)))
    states = {path.stem: torch.load(path, weights_only=True) for path in (tmp_path / "checkpoints").iterdir()}
    assert {name: state["global_step"] for name, state in states.items()} == {"best": STEPS, "last": 3 * STEPS}
    finished = Counter()
    train(tmp_path, finished)
    assert finished.steps == []


def best_weight(folder: Path) -> float:
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]["weight"].item()


def test_the_best_epochs_weights_are_kept(tmp_path: Path) -> None:
    module = Counter(scores=(0.2, 0.6, 0.4))
    train(tmp_path, module)
    assert module.weight.item() == 3 * STEPS
    assert best_weight(tmp_path) == 2 * STEPS


def test_the_best_epoch_is_kept_where_the_run_folder_was_moved(tmp_path: Path) -> None:
    train(tmp_path / "before", Counter(scores=(0.6, 0.4, 0.2)), epochs=1)
    (tmp_path / "before").rename(tmp_path / "after")
    moved = Counter(scores=(0.6, 0.4, 0.2))
    train(tmp_path / "after", moved)
    assert moved.steps[0] == STEPS and best_weight(tmp_path / "after") == STEPS
    assert not (tmp_path / "before").exists()


def test_a_run_that_begins_with_the_state_of_another_has_a_best_epoch_of_its_own(tmp_path: Path) -> None:
    train(tmp_path / "other", Counter(scores=(0.6, 0.4, 0.2)), epochs=1)
    train(tmp_path / "own", Counter(scores=(0.6, 0.4, 0.2)), ckpt_path=str(tmp_path / "other/checkpoints/last.ckpt"))
    assert (best_weight(tmp_path / "other"), best_weight(tmp_path / "own")) == (STEPS, 2 * STEPS)


def test_another_score_may_choose_the_best_epoch(tmp_path: Path) -> None:
    class TwoScores(Counter):
        def validation_step(self, batch: Tensor) -> None:
            super().validation_step(batch)
            self.log("val/correlation", -self.scores[self.current_epoch])

    train(tmp_path, TwoScores(scores=(0.2, 0.6, 0.4)), monitor="val/correlation")
    assert best_weight(tmp_path) == STEPS


def test_the_averaged_weights_are_kept(tmp_path: Path) -> None:
    module = Counter()
    train(tmp_path, module, epochs=1, ema=0.3)
    average = 1.0
    for updates, weight in enumerate(range(2, STEPS + 1), start=1):
        decay = min(0.3, (1 + updates) / (10 + updates))
        average = decay * average + (1 - decay) * weight
    assert best_weight(tmp_path) == pytest.approx(average)


def test_training_that_diverges_ends_with_the_last_good_epoch_on_disk(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="weight is no longer finite"):
        train(tmp_path, Counter(diverges_at=STEPS + 1))
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for name in ("best.ckpt", "last.ckpt"):
        saved = torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        assert (saved["global_step"], saved["state_dict"]["weight"].item()) == (STEPS, STEPS)


@pytest.mark.parametrize(("steps", "every", "first"), [(STEPS - 1, 1, STEPS), (STEPS, 2, 2 * STEPS)])
def test_a_training_that_ends_before_its_first_validation_is_refused(
    tmp_path: Path, steps: int, every: int, first: int
) -> None:
    module = Counter()
    message = rf"trainer.max_steps={steps} must be at least {first}, the step of the first validation.*val/mIoU"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, module, max_steps=steps, check_val_every_n_epoch=every)
    assert module.steps == []
    train(tmp_path, module, max_steps=first, check_val_every_n_epoch=every)
    assert len(module.steps) == first


def test_a_log_file_gets_a_line_per_epoch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    train(tmp_path, Counter(), epochs=2)
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    assert [line.partition(",")[0] for line in lines] == ["epoch 1/2: train/loss nan", "epoch 2/2: train/loss nan"]
    assert "val/mIoU 0.2000" in lines[0] and "val/mIoU 0.6000" in lines[1]
    assert "it/s" not in "".join(capsys.readouterr())


def test_synchronised_batch_norms_are_left_out_on_a_cpu(tmp_path: Path) -> None:
    trainer = train(tmp_path, Counter(), epochs=1, sync_batchnorm=True, strategy="ddp")
    assert trainer.strategy._layer_sync is None


def test_a_sweep_starts_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: SimpleNamespace(mode=RunMode.MULTIRUN))
    monkeypatch.setattr("m2fp_kd.distill.training.fit.HydraConfig", hydra)
    with pytest.raises(
        ValueError, match=r"a sweep \(-m\) trains each job in one process, not 2; add trainer.devices=1"
    ):
        refuse_sweep_of_processes(pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False))
    refuse_sweep_of_processes(pl.Trainer(accelerator="cpu", devices=1, logger=False))
    zero, two = ("RANK", "LOCAL_RANK", "GROUP_RANK"), ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
    for name, value in (dict.fromkeys(zero, "0") | dict.fromkeys(two, "2") | {"TORCHELASTIC_RUN_ID": "none"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="leave out torchrun, or start the settings one by one without -m"):
        refuse_sweep_of_processes(pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False))
