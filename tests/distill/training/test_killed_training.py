"""A training of two processes continues after `kill -9` of either, and ends in the weights of an undisturbed one."""

import signal
from pathlib import Path

import pytest
import torch

from tests.distill import two_processes
from tests.distill.training.killed_training import STEP, main

NOBODY = -1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    two_processes.run(main, folder, NOBODY)
    return folder


def state(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return torch.load(folder / "fpn" / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_training_continues_after_either_process_was_killed(victim: int, tmp_path: Path, undisturbed: Path) -> None:
    codes, _ = two_processes.until_end(main, tmp_path, victim)
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] == 1, "the other one ends by itself"
    if victim == 1:  # the first process saved its state
        assert state(tmp_path, "interrupted")["global_step"] == STEP
    two_processes.run(main, tmp_path, NOBODY)
    found, expected = state(tmp_path), state(undisturbed)
    assert found["global_step"] == expected["global_step"]
    differing = [name for name, value in expected["state_dict"].items() if not found["state_dict"][name].equal(value)]
    assert not differing
