"""Signals during a training: what is saved, the exit code, and resuming."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from m2fp_kd.distill.training.saved_state import AtomicCheckpointIO
from m2fp_kd.signals import STOPPING, handled, leave
from tests.distill.training.counter import STEPS, Counter, Nothing, train


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
