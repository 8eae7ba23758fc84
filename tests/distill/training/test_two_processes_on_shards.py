"""Two processes that train from tar shards: their photos, their weights, and what happens where one is killed."""

import signal
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from m2fp_kd.data.sharded import datamodule
from m2fp_kd.data.sharded.order import ShardSampler
from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.labels import LABEL_SETS
from tests.distill import two_processes
from tests.distill.training.killed_training import STEP
from tests.distill.training.sharded_training import UNEVEN, main, train_from

NOBODY = -1

PHOTOS = [f"{seed:08d}" for seed in range(12)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and three validation scenes in shards of a few."""
    scenes, folder = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("set") / "shards"
    write_dataset(scenes, "Training", range(len(PHOTOS)), 64)
    write_dataset(scenes, "Validation", range(100, 103), 64)
    planned = plan(scenes, 0.02)
    make(planned, folder, LABEL_SETS["cihp"])
    assert len(planned.shards) > 5
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """Return the folder in which two processes trained undisturbed."""
    folder = tmp_path_factory.mktemp("together")
    two_processes.run(main, folder, shards, NOBODY)
    return folder


def of_processes(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def state(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "shards" / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_an_epoch_has_every_photo_once(together: Path) -> None:
    first, second = of_processes(together)
    for epoch in (0, 1):
        shares = [[name for when, name in process["photos"] if when == epoch] for process in (first, second)]
        assert len(shares[0]) == len(shares[1])
        assert sorted(shares[0] + shares[1]) == PHOTOS


def test_photos_that_fill_no_batch_of_both_processes_are_left_out(together: Path) -> None:
    first, second = (process["uneven"] for process in of_processes(together))
    assert len(first) == len(second) == UNEVEN
    assert len({*first, *second} & set(PHOTOS)) == 2 * UNEVEN < len(PHOTOS)


class OfTwo(ShardSampler):
    """The order of two processes in one, whose batches are those of the first and the second together."""

    def order(self, epoch: int) -> np.ndarray:
        orders = []
        for rank in (0, 1):
            one = copy(self)
            one.rank, one.batch_size, one.num_samples = rank, self.batch_size // 2, self.num_samples // 2
            orders.append(ShardSampler.order(one, epoch).reshape(-1, one.batch_size))
        return np.hstack(orders).ravel()


def test_two_processes_train_as_one_with_the_same_batches(
    together: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datamodule, "ShardSampler", OfTwo)
    alone = train_from(shards, tmp_path, "data.batch_size=4", "trainer.devices=1", callbacks=[])
    found, expected = state(together), state(tmp_path)
    assert found["global_step"] == expected["global_step"] == alone.global_step > STEP
    assert_close(found["state_dict"], expected["state_dict"], atol=2e-6, rtol=1e-4)
    first, second = (process["scores"] for process in of_processes(together))
    assert first == pytest.approx(second, abs=0, nan_ok=True)
    scores = {name: float(value) for name, value in alone.callback_metrics.items()}
    assert first == pytest.approx(scores, abs=1e-4, nan_ok=True)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_training_continues_after_either_process_was_killed(
    victim: int, tmp_path: Path, shards: Path, together: Path
) -> None:
    codes, _ = two_processes.until_end(main, tmp_path, shards, victim)
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] == 1, "the other one ends by itself"
    two_processes.run(main, tmp_path, shards, NOBODY)
    found, expected = state(tmp_path), state(together)
    assert found["global_step"] == expected["global_step"]
    differing = [name for name, value in expected["state_dict"].items() if not found["state_dict"][name].equal(value)]
    assert not differing
    # The first process saved the state after the last whole batch; where it was killed, the second epoch is repeated.
    begin = STEP if victim == 1 else state(together)["global_step"] // 2
    for again, undisturbed in zip(of_processes(tmp_path), of_processes(together), strict=True):
        assert again["photos"] == undisturbed["photos"][2 * begin :]
