"""Trainings that are refused before any work, and what several processes are told."""

import logging

import pytest

from m2fp_kd.pipeline.assemble.trial import try_training
from tests.pipeline.conftest import Composer


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the first of two processes that torchrun started."""
    started = {
        "TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0",
        "GROUP_RANK": "0",
    }  # fmt: skip
    for name, value in started.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("torchrun")
def test_processes_of_torchrun_train_together_or_not_at_all(
    composed: Composer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="torchrun started 2 processes, but this trainer trains in 1; add trainer=ddp"):
        try_training(composed("trainer=cpu"))
    caplog.set_level(logging.INFO)
    try_training(composed("trainer=ddp", "trainer.accelerator=cpu"))
    (line,) = (line for line in caplog.messages if line.startswith("2 processes"))
    assert line == "2 processes: a batch has 4 photos, 2 of each process; lr=0.002 is not scaled with their number"


@pytest.mark.usefixtures("torchrun")
def test_compression_is_no_work_for_torchrun(composed: Composer) -> None:
    with pytest.raises(ValueError, match="stage=compress runs in one process, and torchrun started 2; leave out"):
        try_training(composed("stage=compress", "student.checkpoint=none.json"))
