"""A run completes without W&B: not selected, not installed, failing to start, or killed during training."""

import logging
import sys
from pathlib import Path

import pytest
import wandb

from m2fp_kd.distill.training.loggers import RUN_ID, start_wandb, wandb_ended
from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import Composer

SHORT = ["trainer.max_epochs=1"]


@pytest.fixture(autouse=True)
def every_warning_is_caught(caplog: pytest.LogCaptureFixture) -> None:
    """Reset the handlers' level: NNCF raises it, pytest's included, if something was quantised before."""


def complete(folder: Path) -> bool:
    """Return whether a run reached its end."""
    report = read_report(folder / "report.json")
    return report.models["student_fp32"].miou is not None and "val/mIoU" in report.curves


@pytest.mark.parametrize(("logger", "warned"), [("csv", False), ("wandb", True)])
def test_runs_complete_without_wandb_installed(
    composed: Composer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, logger: str, warned: bool
) -> None:
    """With logger=csv nothing imports it: an import fails here."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    cfg = composed(f"logger={logger}", *SHORT)
    run(cfg)
    assert complete(Path(cfg.run_dir)) and not (Path(cfg.run_dir) / "wandb").exists()
    assert ("Weights & Biases is not installed (pip install wandb)" in caplog.text) is warned


def test_a_training_survives_the_death_of_wandb(
    composed: Composer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its process may be killed, for instance when memory runs out; then every call raises."""
    calls = []

    def dead(self: object, *args: object, **kwargs: object) -> None:
        calls.append(args)
        if len(calls) > 2:
            raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(wandb.Run, "log", dead)
    cfg = composed("logger=wandb", *SHORT)
    run(cfg)
    assert complete(Path(cfg.run_dir))
    assert len(calls) == 4, "two that worked, one that failed in training and one with the results"
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    failed = "Weights & Biases failed (ConnectionResetError: Connection reset by peer)"
    assert [text.split(";")[0] for text in warnings if text.startswith("Weights & Biases")] == [
        f"{failed}: training continues without it",
        f"{failed}: the run is complete in its own folder",
    ]


@pytest.mark.parametrize(
    ("override", "cause"),
    [
        ("logger.wandb.offline=false", "UsageError: No API key configured. Use `wandb login` to log in."),
        ("logger.wandb.project='a/b'", "UsageError: Invalid project name 'a/b'"),
    ],
)
def test_a_record_that_cannot_start_gives_a_warning_with_the_cause(
    composed: Composer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    override: str,
    cause: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # without a login
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert start_wandb(composed("logger=wandb", override)) == []
    assert cause in caplog.text and "logger=csv" in caplog.text


def test_a_resumed_run_continues_its_record(composed: Composer) -> None:
    ids = []
    for ckpt_path in ("last", "last", "null"):
        cfg = composed("logger=wandb", f"ckpt_path={ckpt_path}")
        with wandb_ended():
            (logger,) = start_wandb(cfg)
            ids.append(logger.version)
        assert wandb.run is None
        assert (Path(cfg.run_dir) / RUN_ID).read_text() == ids[-1]
    assert ids[0] == ids[1] != ids[2], "a run that starts over has another record"


def test_an_offline_record_prints_nothing(composed: Composer, capfd: pytest.CaptureFixture[str]) -> None:
    cfg = composed("logger=wandb")
    Path(cfg.run_dir).mkdir()
    with wandb_ended():
        start_wandb(cfg)
    assert capfd.readouterr().err == ""


def test_a_failed_run_is_recorded_as_failed(composed: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    monkeypatch.setattr(wandb, "run", object())
    monkeypatch.setattr(wandb, "finish", lambda exit_code: ended.append(exit_code))
    with pytest.raises(MemoryError), wandb_ended():
        raise MemoryError("killed")
    with wandb_ended():
        pass
    assert ended == [1, 0]
