"""Training with Lightning's Trainer: the moving average of weights, saved states, and resuming."""

import logging
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.types import RunMode
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

from m2fp_kd.distill.training.fit import fit, refuse_sweep_of_processes, warmed_average
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.distill.training.saved_state import AtomicCheckpointIO
from m2fp_kd.signals import STOPPING, handled, leave


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


def test_weights_that_are_not_finite_are_never_saved() -> None:
    diverged = nn.Linear(2, 2)
    with torch.no_grad():
        diverged.bias[1] = float("nan")
    module: Any = SimpleNamespace(named_parameters=diverged.named_parameters, global_step=7)
    with pytest.raises(FloatingPointError, match=r"bias is no longer finite at step 7.*last good epoch"):
        Distillation.on_save_checkpoint(module, {})
    nn.init.zeros_(diverged.bias)
    Distillation.on_save_checkpoint(module, {})


STEPS = 3
"""Steps per epoch."""


class Counter(pl.LightningModule):
    """Increase the only weight by 1 in every step; validate with given scores."""

    on_save_checkpoint = Distillation.on_save_checkpoint  # type: ignore[assignment]

    def __init__(self, scores: tuple[float, ...] = (0.2, 0.6, 0.4), diverges_at: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scores = scores
        self.diverges_at = diverges_at
        self.steps: list[int] = []

    def training_step(self, batch: Tensor) -> Tensor:
        self.steps.append(self.global_step)
        return -self.weight.sum() * (float("inf") if self.global_step == self.diverges_at else 1)

    def validation_step(self, batch: Tensor) -> None:
        self.log("val/mIoU", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Nothing(pl.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(list(range(STEPS)))

    def val_dataloader(self) -> DataLoader:
        return DataLoader([0])


def train(
    folder: Path,
    module: Counter,
    epochs: int = 3,
    ckpt_path: str | None = "last",
    ema: float | None = None,
    monitor: str = "val/mIoU",
    **options: Any,
) -> Any:
    trainer = {
        "_target_": "pytorch_lightning.Trainer",
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": epochs,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
    } | options
    logger = {"csv": {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": str(folder)}}
    settings = {"run_dir": str(folder), "ckpt_path": ckpt_path, "ema": ema, "trainer": trainer, "logger": logger}
    return fit(OmegaConf.create(settings), module, Nothing(), monitor=monitor)


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


def test_ctrl_c_before_a_resumed_run_has_begun_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, Counter(), epochs=1)

    def interrupted(self: Nothing, stage: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Nothing, "setup", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, Counter(), epochs=2)
    monkeypatch.undo()
    again = Counter()
    train(tmp_path, again, epochs=2)
    assert again.steps == [3, 4, 5]


def best_weight(folder: Path) -> float:
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]["weight"].item()


def test_the_best_epochs_weights_are_kept(tmp_path: Path) -> None:
    module = Counter(scores=(0.2, 0.6, 0.4))
    train(tmp_path, module)
    assert module.weight.item() == 3 * STEPS
    assert best_weight(tmp_path) == 2 * STEPS


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


def test_ctrl_c_within_an_epoch_resumes_after_the_last_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Counter.training_step

    def interrupted(self: Counter, batch: Tensor) -> Tensor:
        if self.global_step == STEPS + 2:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Counter, "training_step", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, Counter())
    saved = torch.load(tmp_path / "checkpoints" / "interrupted.ckpt", weights_only=True)
    assert (saved["global_step"], saved["state_dict"]["weight"].item()) == (STEPS + 2, STEPS + 2)
    monkeypatch.undo()
    again = Counter()
    train(tmp_path, again)
    assert again.steps[0] == STEPS + 2 and again.weight.item() == STEPS + 2 + len(again.steps)


@pytest.mark.usefixtures("heeds_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_after_the_batch_with_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    step = Counter.training_step

    def interrupted(self: Counter, batch: Tensor) -> Tensor:
        if self.global_step == STEPS + 1:
            signal.raise_signal(number)
        return step(self, batch)

    monkeypatch.setattr(Counter, "training_step", interrupted)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, Counter())
    state = tmp_path / "checkpoints" / "interrupted.ckpt"
    assert stopped.value.code == 128 + number
    assert stopped.value.__notes__ == [f"stopped; the same command resumes from {state}"]
    saved = torch.load(state, weights_only=True)
    assert (saved["global_step"], saved["state_dict"]["weight"].item()) == (STEPS + 2, STEPS + 2)
    monkeypatch.undo()
    again = Counter()
    train(tmp_path, again)
    assert again.steps == list(range(STEPS + 2, 3 * STEPS)) and again.weight.item() == 3 * STEPS


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_while_the_state_is_saved_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: signal.Signals
) -> None:
    save, step = AtomicCheckpointIO.save_checkpoint, Counter.training_step

    def interrupted(self: Counter, batch: Tensor) -> Tensor:
        if self.global_step == STEPS + 1:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    def interrupted_save(self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Any, **options: Any) -> None:
        if Path(path).stem == "interrupted":
            signal.raise_signal(second)
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(Counter, "training_step", interrupted)
    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", interrupted_save)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, Counter())
    saved = torch.load(tmp_path / "checkpoints" / "interrupted.ckpt", weights_only=True)
    assert stopped.value.code == 128 + signal.SIGTERM and saved["global_step"] == STEPS + 2


def test_a_signal_after_the_last_batch_ends_the_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counter, "on_train_epoch_end", lambda self: signal.raise_signal(signal.SIGTERM), raising=False)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, Counter(), epochs=1)
    assert stopped.value.code == 128 + signal.SIGTERM
    monkeypatch.undo()
    again = Counter()
    train(tmp_path, again, epochs=1)
    assert again.steps == []


def test_the_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(self: Counter, batch: Tensor) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the batch went on")

    monkeypatch.setattr(Counter, "training_step", impatient)
    with pytest.raises(SystemExit) as stopped:
        train(tmp_path, Counter())
    assert stopped.value.code == 128 + signal.SIGINT


def test_the_handlers_of_signals_are_restored(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    train(tmp_path, Counter(), epochs=1)
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_signals_that_nohup_ignores_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(leave):
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(SystemExit):
                signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


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
