"""Signals and deaths among the processes of a distributed training."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from m2fp_kd.distill.training import processes
from m2fp_kd.distill.training.processes import Watch
from m2fp_kd.distill.training.stopping import StopBetweenBatches
from m2fp_kd.signals import handled
from tests.distill.training.counter import STEPS

ROOT = Path(__file__).parents[3]


def trainer_of(*started: subprocess.Popen, rank: int = 0, others: int = 0) -> Any:
    """Return a trainer of two processes; `others` is the signal that the other one received."""
    return SimpleNamespace(
        world_size=2,
        is_global_zero=rank == 0,
        received_sigterm=False,
        _signal_connector=SimpleNamespace(received_sigterm=False),
        strategy=SimpleNamespace(
            launcher=SimpleNamespace(procs=started, kill=lambda number: [one.send_signal(number) for one in started]),
            root_device=torch.device("cpu"),
            reduce=lambda own, reduce_op: torch.maximum(own, torch.tensor(others)),
        ),
    )


def sleeper(seconds: float = 60) -> subprocess.Popen:
    return subprocess.Popen(["sleep", str(seconds)])


@pytest.mark.parametrize(("received", "others"), [(signal.SIGTERM, 0), (None, signal.SIGHUP)])
def test_processes_agree_at_the_end_of_a_batch_to_stop(received: signal.Signals | None, others: int) -> None:
    trainer, module, stop = trainer_of(others=others), pl.LightningModule(), StopBetweenBatches()
    stop.setup(trainer, module, "fit")
    with handled(lambda *_: pytest.fail("Lightning's handler was called")):
        stop.on_train_start(trainer, module)
        if received is not None:
            signal.raise_signal(received)
            signal.raise_signal(received)  # the second one, which may arrive while the state is saved, changes nothing
    assert not trainer._signal_connector.received_sigterm, "in the middle of the batch"
    stop.on_train_batch_end(trainer, module, None, None, 0)
    assert trainer._signal_connector.received_sigterm
    assert stop.exit_code == 128 + (received or others)


def test_a_signal_before_the_training_ends_all_processes() -> None:
    child, stop = sleeper(), StopBetweenBatches()
    stop.setup(trainer_of(child), pl.LightningModule(), "fit")
    with pytest.raises(SystemExit), handled(stop):
        signal.raise_signal(signal.SIGTERM)
    assert child.wait(10) == -signal.SIGTERM


def test_a_process_that_still_waits_for_a_lost_one_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(processes, "POLL", 0.01)
    monkeypatch.setattr(processes, "GRACE", 0.1)
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())
    lost, waiting = sleeper(), sleeper()
    with Watch() as watch:
        watch.setup(trainer_of(waiting, lost), pl.LightningModule(), "fit")
        assert watch.lost() is None
        lost.kill()
        assert ended.wait(10)
    assert waiting.wait(10) == -signal.SIGKILL
    assert caplog.messages[0].startswith("process 2 of this training was killed by SIGKILL")
    assert caplog.messages[0].endswith("the same command continues the run")


def test_errors_of_the_network_are_explained_by_the_process_that_ended() -> None:
    failed = subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"])
    with Watch() as watch:
        watch.setup(trainer_of(failed), pl.LightningModule(), "fit")
        closed = RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:2041")
        assert watch.explained(closed) == "process 1 of this training ended with exit code 2"
        assert watch.explained(RuntimeError("shapes differ")) is watch.explained(SystemExit(1)) is None


def test_the_watch_ends_with_the_training_and_takes_the_place_of_lightnings() -> None:
    observer = threading.Thread(target=time.sleep, args=(1,), name="child-process-observer", daemon=True)
    observer._child_processes = ["a process"]  # type: ignore[attr-defined]
    observer.start()
    with Watch() as watch:
        watch.setup(trainer_of(), pl.LightningModule(), "fit")
    assert observer._child_processes == []  # type: ignore[attr-defined]
    assert watch._over.is_set()


TRAINING = """
import os, sys
from pathlib import Path
from m2fp_kd.command import reported
from tests.distill.training.counter import STEPS, Counter, train

class Hit(Counter):
    def training_step(self, batch):
        if self.global_step == STEPS + 1 and self.global_rank == int(sys.argv[2]):
            os.kill(os.getpid(), int(sys.argv[3]))
        return super().training_step(batch)

def run():
    train(Path(sys.argv[1]), Hit(), strategy="ddp", devices=2)
    return 0

sys.exit(reported(run, lambda: "train"))
"""


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_processes_end_together_and_say_how_to_continue(tmp_path: Path, rank: int, number: signal.Signals) -> None:
    """The state is that after the last whole batch; after a kill, in the middle of a batch, that before its step."""
    (tmp_path / "training.py").write_text(TRAINING)
    command = [sys.executable, str(tmp_path / "training.py"), str(tmp_path), str(rank), str(int(number))]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    states = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    if number == signal.SIGTERM:
        saved = torch.load(tmp_path / "checkpoints" / "interrupted.ckpt", weights_only=True)
        assert done.returncode == 128 + number and saved["global_step"] == STEPS + 2, done.stderr
        return
    line = done.stderr.splitlines()[-1]
    if rank == 1:
        assert done.returncode == 2 and "interrupted" in states
        assert line.startswith("m2fp-kd: process 1 of this training was killed by SIGKILL; the same command resumes")
    else:
        assert done.returncode == -signal.SIGKILL
        assert line.startswith("m2fp-kd: the first process of this training has ended; the same command resumes from")
    assert "Traceback" not in done.stderr, done.stderr
