"""An epoch of two processes ends in the weights and scores of one process with the same batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tests.distill import two_processes
from tests.distill.training.short_training import TRAININGS, main, train


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, teacher_file: Path) -> Path:
    """Return the folder in which two processes trained."""
    folder = tmp_path_factory.mktemp("together")
    two_processes.run(main, folder, str(teacher_file))
    return folder


def of_processes(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def state(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / name / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_as_one(name: str, tmp_path: Path, teacher_file: Path, together: Path) -> None:
    alone = train(name, tmp_path, str(teacher_file), "data.batch_size=4", "trainer.devices=1")
    found, expected = (state(folder, name) for folder in (together, tmp_path))
    assert found["global_step"] == expected["global_step"] == alone.global_step > 1
    assert_close(found["state_dict"], expected["state_dict"], atol=2e-6, rtol=1e-4)
    first, second = (figures[name] for figures in of_processes(together))
    assert first == pytest.approx(second, abs=0, nan_ok=True), "every process knows the figures of all"
    assert first == pytest.approx(
        {key: float(value) for key, value in alone.callback_metrics.items()}, abs=1e-4, nan_ok=True
    )


def test_processes_that_resume_from_different_folders_are_refused(together: Path) -> None:
    for found in of_processes(together):
        assert found["elsewhere"].startswith("the processes of this training resume from different steps, 0 and 2: put")


def test_a_process_that_fails_ends_the_other_one(together: Path) -> None:
    first, second = (found["failed"] for found in of_processes(together))
    assert second == "photo 7 is broken"
    assert first.startswith("another process of this training has ended; the same command")
