"""A distilled run with W&B offline, and its record."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wandb
from omegaconf import DictConfig

from m2fp_kd.evaluation.report.report import read_report
from m2fp_kd.pipeline import run
from tests.pipeline.conftest import compose_small
from tests.pipeline.tracking.records import Record, read_record


@dataclass
class OfflineRun:
    """A finished run.

    Attributes:
        cfg: its configuration.
        folder: the run's.
        report: its report.json.
        record: what W&B recorded.
        wandb_folder: where.
        data: W&B's folder of copies.
    """

    cfg: DictConfig
    folder: Path
    report: dict[str, Any]
    record: Record
    wandb_folder: Path
    data: Path


@pytest.fixture(scope="session", autouse=True)
def wandb_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep W&B's copies out of the user's folders, and its logger's settings out of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("wandb-data")
        patch.setenv("WANDB_DATA_DIR", str(folder))
        patch.setenv("WANDB_MODE", "offline")
        yield folder


@pytest.fixture(scope="session")
def offline(scenes: Path, teacher_file: Path, tmp_path_factory: pytest.TempPathFactory, wandb_data: Path) -> OfflineRun:
    """Distil three epochs from the tiny teacher."""
    folder = tmp_path_factory.mktemp("offline") / "run"
    cache = folder.parent / "cache"
    teacher = ["teacher=cached", f"teacher.checkpoint={teacher_file}", f"teacher.cache={cache}", "distill=classic"]
    cfg = compose_small(scenes, folder, "logger=wandb", "trainer.max_epochs=3", "compress=int8_static", *teacher)
    run(cfg)
    assert wandb.run is None, "the next run of this process has a record of its own"
    (wandb_folder,) = folder.glob("wandb/offline-run-*")
    record = read_record(wandb_folder)
    return OfflineRun(cfg, folder, read_report(folder / "report.json"), record, wandb_folder, wandb_data)
