"""The order of photos: a function of seed and epoch."""

import pytest
import torch.distributed

from m2fp_kd.data.sampling import EpochSampler


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    sampler = EpochSampler(50, seed=3)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert {pair[0] for pair in pairs} == {epoch}
        orders.append([index for _, index in pairs])
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


def test_seed_and_epoch_alone_determine_the_order() -> None:
    fresh = EpochSampler(20, seed=3, epoch=4)
    used = EpochSampler(20, seed=3)
    list(used)
    used.set_epoch(4)
    assert list(fresh) == list(used) != list(EpochSampler(20, seed=4, epoch=4))


def test_what_was_seen_before_an_interruption_is_left_out_of_that_epoch_only() -> None:
    whole, resumed = EpochSampler(20, seed=3, epoch=2), EpochSampler(20, seed=3, epoch=2, done=8)
    assert list(resumed) == list(whole)[8:]
    for sampler in (whole, resumed):
        sampler.set_epoch(3)
    assert list(resumed) == list(whole) and len(list(whole)) == 20


@pytest.mark.parametrize("length", [20, 18])
def test_processes_share_one_order(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (order,) = shares(length, 1, monkeypatch)
    of_each = shares(length, 4, monkeypatch)
    together = [pair for pairs in zip(*of_each, strict=True) for pair in pairs]
    assert together == order + order[: len(together) - length]  # the first make up what the last round lacks
    assert len(together) == 20


def test_each_process_leaves_out_what_it_has_seen_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, resumed = shares(20, 4, monkeypatch), shares(20, 4, monkeypatch, done=2)
    assert resumed == [share[2:] for share in whole]


def shares(length: int, processes: int, monkeypatch: pytest.MonkeyPatch, done: int = 0) -> list[list[tuple[int, int]]]:
    """What each of several processes yields of epoch 2."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: processes)
    found = []
    for rank in range(processes):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        found.append(list(EpochSampler(length, seed=3, epoch=2, done=done)))
    return found
