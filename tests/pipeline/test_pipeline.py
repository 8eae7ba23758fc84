"""A run keeps one folder from start to end, and its last line tells how to continue it."""

import errno
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd import pipeline
from m2fp_kd.command import one_line
from m2fp_kd.config import register_resolvers
from m2fp_kd.data.reading import LabelError
from m2fp_kd.pipeline.record.run_folder import claim_sources, sources
from m2fp_kd.runtime.geometry import PhotoError
from tests.pipeline.conftest import CONF, Composer


def test_instantiating_parts_of_the_configuration_does_not_rename_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def stage(cfg: DictConfig) -> dict[str, float]:
        instantiate(cfg.data.module)
        folders.append(cfg.run_dir)
        return {}

    monkeypatch.setitem(pipeline.STAGES, "train", stage)
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config")
    monkeypatch.chdir(tmp_path)
    pipeline.run(cfg)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("runs/*")] == folders


def stopped(composed: Composer, monkeypatch: pytest.MonkeyPatch, stage: Callable[[DictConfig], Any]) -> DictConfig:
    """Run a stage in place of the training."""
    monkeypatch.setitem(pipeline.STAGES, "train", stage)
    cfg = composed()
    with pytest.raises((SystemExit, ValueError)):
        pipeline.run(cfg)
    return cfg


@pytest.mark.usefixtures("heeds_hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_outside_training_ends_the_run_with_its_exit_code(
    composed: Composer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: signal.Signals
) -> None:
    monkeypatch.setitem(pipeline.STAGES, "train", lambda cfg: signal.raise_signal(number))
    with pytest.raises(SystemExit) as stopped:
        pipeline.run(composed())
    assert stopped.value.code == 128 + number
    assert caplog.messages[-1] == f"stopped by {number.name}; the same command continues the run"


def test_the_last_line_tells_how_to_continue(
    composed: Composer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(cfg: DictConfig) -> None:
        error = ValueError("no space left")
        error.add_note("stopped; the same command resumes from last.ckpt")
        raise error

    stopped(composed, monkeypatch, full)
    assert caplog.messages[-1] == "stopped; the same command resumes from last.ckpt"


def test_a_full_disk_is_named_where_a_library_does_not_name_it(
    composed: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(cfg: DictConfig) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(pipeline.STAGES, "train", full)
    with pytest.raises(OSError) as error:
        pipeline.run(cfg := composed())
    assert one_line(error.value) == (
        f"{cfg.run_dir} or {tempfile.gettempdir()}: No space left on device; free some space and repeat the command"
    )


@pytest.mark.parametrize(
    ("error", "expected"), [(LabelError("a"), None), (PhotoError("a"), None), (ValueError("a"), "b")]
)
def test_a_broken_file_may_be_mended(
    composed: Composer, monkeypatch: pytest.MonkeyPatch, error: ValueError, expected: str | None
) -> None:
    def broken(cfg: DictConfig) -> None:
        claim_sources(cfg, {"data": "b"})
        raise error

    assert sources(stopped(composed, monkeypatch, broken)) == {"data": expected}
