"""The order of photos in shards."""

import numpy as np
import pytest

from m2fp_kd.data.sharded.order import ShardSampler

SIZES = (7, 12, 5, 9, 11, 8)


def samplers(processes: int, **options: int) -> list[ShardSampler]:
    found = []
    for rank in range(processes):
        sampler = ShardSampler(SIZES, 2, **options)
        sampler.num_replicas, sampler.rank = processes, rank
        sampler.num_samples = sum(SIZES) // processes // 2 * 2
        found.append(sampler)
    return found


@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 3), (2, 2), (3, 4), (5, 7)])
def test_processes_and_workers_share_an_epoch_without_loss_or_repetition(processes: int, workers: int) -> None:
    shares = [list(sampler) for sampler in samplers(processes, workers=workers)]
    photos = [index for share in shares for _, index in share]
    assert len(set(map(len, shares))) == 1, "every process has equally many"
    assert len(photos) == len(set(photos)) == sum(SIZES) // (2 * processes) * 2 * processes
    assert set(photos) <= set(range(sum(SIZES)))


def test_photos_that_an_epoch_leaves_out_come_in_others() -> None:
    (sampler,) = samplers(1)
    sampler.batch_size, sampler.num_samples = 5, 50
    left_out = [set(range(sum(SIZES))) - set(sampler.order(epoch).tolist()) for epoch in range(6)]
    assert all(len(photos) == 2 for photos in left_out)
    assert len(set.union(*left_out)) > 2


def test_a_worker_reads_few_shards_at_a_time_and_most_of_them_alone() -> None:
    sizes = [50] * 12
    sampler = ShardSampler(sizes, 5, workers=3, buffer=2)
    batches = sampler.order(0).reshape(-1, 5)
    read = []
    for worker in range(3):
        shards = batches[worker::3].ravel() // 50
        windows = [set(shards[begin : begin + 100].tolist()) for begin in range(0, len(shards), 100)]
        assert max(map(len, windows)) <= 4
        read.append(set(shards.tolist()))
    assert sum(map(len, read)) <= 12 + 3 + 1, "only shards at the borders are read twice"


def test_the_order_is_a_function_of_seed_and_epoch_and_shuffles_shards_and_photos() -> None:
    (first,), (again,), (other,) = samplers(1, seed=1), samplers(1, seed=1), samplers(1, seed=2)
    assert list(first) == list(again) != list(other)
    first.set_epoch(1)
    assert next(iter(first))[0] == 1
    assert (first.order(0) != first.order(1)).mean() > 0.5
    assert (np.diff(first.order(0)) != 1).mean() > 0.5


def test_an_interrupted_epoch_continues_and_the_next_is_whole() -> None:
    (whole,), (resumed,) = samplers(1, workers=2, epoch=3), samplers(1, workers=2, epoch=3, done=8)
    assert list(resumed) == list(whole)[8:]
    for sampler in (whole, resumed):
        sampler.set_epoch(4)
    assert list(resumed) == list(whole)


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert sorted(index for _, index in ShardSampler([2, 1], 8)) == [0, 1, 2]
