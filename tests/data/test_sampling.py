"""The order of photos is a function of seed and epoch."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch.distributed

from m2fp_kd.data.sampling import EpochSampler, Pool, WholeSampler


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


def test_photos_seen_before_an_interruption_are_skipped_in_that_epoch_only() -> None:
    whole, resumed = EpochSampler(20, seed=3, epoch=2), EpochSampler(20, seed=3, epoch=2, done=8)
    assert list(resumed) == list(whole)[8:]
    for sampler in (whole, resumed):
        sampler.set_epoch(3)
    assert list(resumed) == list(whole) and len(list(whole)) == 20


@pytest.mark.parametrize(("length", "left_out"), [(24, 0), (30, 6)])
def test_the_processes_batches_are_together_the_batches_of_one(
    length: int, left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = [Pool(9, 6)]
    (order,) = shares(length - 6, 1, monkeypatch, pools=pools, batch_size=12)
    of_each = shares(length - 6, 4, monkeypatch, pools=pools, batch_size=3)
    batches = zip(*(zip(*[iter(share)] * 3, strict=True) for share in of_each), strict=True)
    assert [pair for batch in batches for part in batch for pair in part] == order
    assert len(order) == length - left_out


def test_an_epoch_of_less_than_a_batch_is_divided_and_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    (order,) = shares(6, 1, monkeypatch, batch_size=12)
    of_each = shares(6, 4, monkeypatch, batch_size=3)
    assert of_each == [order[:2], order[2:4], order[4:], [order[0], order[0]]]


@pytest.mark.parametrize(("length", "batch_size"), [(24, 3), (25, 3), (29, 2), (3, 2), (0, 2)])
def test_every_photo_is_validated_once_and_processes_have_as_many_batches(
    length: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone,) = of_processes(1, monkeypatch, lambda: WholeSampler(length, batch_size))
    assert alone == [(index, True) for index in range(length)]
    of_each = of_processes(4, monkeypatch, lambda: WholeSampler(length, batch_size))
    assert len(set(map(len, of_each))) == 1
    assert sorted(index for share in of_each for index, counted in share if counted) == list(range(length))


def test_each_process_skips_the_photos_that_it_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, resumed = shares(20, 4, monkeypatch), shares(20, 4, monkeypatch, done=2)
    assert resumed == [share[2:] for share in whole]


def epochs(count: int, *pools: Pool, length: int = 12) -> list[list[tuple[int, int]]]:
    sampler, orders = EpochSampler(length, seed=3, pools=pools), []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler)
    return orders


@pytest.mark.parametrize(("pool", "drawn"), [(5, 4), (20, 4), (3, 7)])
def test_every_epoch_draws_the_same_number_from_the_pool(pool: int, drawn: int) -> None:
    orders = epochs(2 * pool, Pool(pool, drawn))
    for epoch, order in enumerate(orders):
        assert sorted(pair for pair in order if pair[1] < 12) == [(epoch, index) for index in range(12)]
        assert sum(index >= 12 for _, index in order) == drawn
    of_pool = [pair for order in orders for pair in order if pair[1] >= 12]
    assert len(set(of_pool)) == len(of_pool), "no photo comes twice under one key"
    rounds = 2 * drawn  # pool * 2 epochs of `drawn` each
    assert sorted(of_pool) == [(round_, 12 + index) for round_ in range(rounds) for index in range(pool)]
    assert [index for _, index in of_pool[:pool]] != [index for _, index in of_pool[pool : 2 * pool]]


def test_the_pool_does_not_change_the_order_of_the_others() -> None:
    with_pool, without = epochs(2, Pool(9, 6)), epochs(2)
    assert [[pair for pair in order if pair[1] < 12] for order in with_pool] == without


def test_every_part_of_an_epoch_has_both_kinds_in_proportion() -> None:
    for order in epochs(3, Pool(9, 6)):
        drawn = [index >= 12 for _, index in order]
        assert {sum(drawn[begin : begin + 6]) for begin in range(13)} <= {1, 2, 3}  # 6 of 18 are 2, plus or minus 1
        assert [sum(drawn[begin : begin + 6]) for begin in (0, 6, 12)] == [2, 2, 2]


def test_photos_drawn_before_an_interruption_are_skipped() -> None:
    whole, resumed = (EpochSampler(12, 3, epoch=2, done=done, pools=[Pool(5, 4)]) for done in (0, 7))
    assert list(resumed) == list(whole)[7:]


def test_processes_share_the_pool_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    for share in shares(12, 4, monkeypatch, pools=[Pool(9, 12)], batch_size=2):
        kinds = [index >= 12 for _, index in share]
        assert [sum(kinds[begin : begin + 2]) for begin in range(0, len(kinds), 2)] == [1, 1, 1]


def test_several_pools_share_every_part_of_an_epoch_in_proportion() -> None:
    pools = Pool(40, 20), Pool(3, 10), Pool(500, 10)
    orders = epochs(4, *pools, length=0)
    for order in orders:
        kinds = [(index >= 40) + (index >= 43) for _, index in order]
        assert [[kinds[begin : begin + 8].count(kind) for kind in range(3)] for begin in range(0, 40, 8)] == [
            [4, 2, 2]
        ] * 5
    pairs = [pair for order in orders for pair in order]
    assert len(set(pairs)) == len(pairs), "a photo that is repeated has a key of its own each time"
    assert sorted(pair for pair in pairs if pair[1] < 40) == [
        (pass_, index) for pass_ in range(2) for index in range(40)
    ]


def shares(
    length: int,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
    done: int = 0,
    pools: Sequence[Pool] = (),
    batch_size: int = 1,
) -> list[list[tuple[int, int]]]:
    """Return the pairs that each of several processes yields in epoch 2."""
    return of_processes(processes, monkeypatch, lambda: EpochSampler(length, 3, 2, done, pools, batch_size))


def of_processes(processes: int, monkeypatch: pytest.MonkeyPatch, sampler: Callable[[], Any]) -> list[list[Any]]:
    """Return what the sampler yields in each of several processes."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: processes)
    found = []
    for rank in range(processes):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        one = sampler()
        found.append(list(one))
        assert len(one) == len(found[-1]) or one.__dict__.get("_resume", (0, 0))[1]
    return found
