"""The order of photos as a function of (seed, epoch) alone, and the shares of the processes that train together."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch.distributed
from torch.utils.data import DistributedSampler

T = TypeVar("T")


class Pool(NamedTuple):
    """Photos of which every epoch has some.

    Attributes:
        size: number of photos.
        drawn: number of photos in an epoch.
    """

    size: int
    drawn: int


class SharedSampler(DistributedSampler):
    """One order of photos that the processes of a distributed training share.

    The class is a `DistributedSampler` because Lightning keeps such a sampler in place under DDP.

    Args:
        length: number of photos.
        batch_size: photos in a batch of one process.
        seed: seed of the order.
    """

    def __init__(self, length: int, batch_size: int, seed: int = 0) -> None:
        spread = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            range(length),  # type: ignore[arg-type]  # only its length is used
            num_replicas=torch.distributed.get_world_size() if spread else 1,
            rank=torch.distributed.get_rank() if spread else 0,
            seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
        )
        self.batch_size = batch_size
        self.together = batch_size * self.num_replicas

    def _whole_batches(self, order: Sequence[T]) -> list[T]:
        """Return this process's parts of the whole batches of all processes together."""
        begins = range(0, len(order) // self.together * self.together, self.together)
        return [item for begin in begins for item in self._part(order[begin : begin + self.together])]

    def _last_batch(self, order: Sequence[T]) -> tuple[list[T], list[T]]:
        """Return this process's part of the photos after the last whole batch, and photos that fill it up.

        Every process needs the same number of photos, because the processes wait for each other.
        """
        rest = order[len(order) // self.together * self.together :]
        own = self._part(rest)
        return own, list(order[:1]) * (-(-len(rest) // self.num_replicas) - len(own))

    def _part(self, batch: Sequence[T]) -> list[T]:
        size = -(-len(batch) // self.num_replicas)
        return list(batch[self.rank * size : (self.rank + 1) * size])


class EpochSampler(SharedSampler):
    """Shuffle indices and yield (epoch, index) pairs, which carry the epoch to the workers.

    Every epoch has all photos of a fixed set and, spread evenly among them, some photos of each pool, so that every
    part of an epoch has all kinds in the same proportion. The sampler shuffles a pool and runs through it repeatedly,
    across epochs: no photo of the pool is repeated before all others were seen. The pairs of a pool's photos carry
    the number of completed passes instead of the epoch, so a photo that occurs twice in an epoch has two keys.

    Photos after the last whole batch are left out of an epoch, unless there is no whole batch. Processes that train
    together divide each batch that one process would have, of as many photos as all of theirs; each process's part is
    contiguous, and so has all kinds in proportion.

    Lightning calls `set_epoch` before every epoch, but starts workers before the first.

    Args:
        length: number of photos of the fixed set; their indices come first.
        seed: seed that determines the order together with the epoch.
        epoch: first epoch.
        done: number of photos of this process's share to skip in the first epoch, seen before an interruption.
        pools: pools that are not empty; their indices follow in this order.
        batch_size: photos in a batch of one process.
    """

    def __init__(
        self,
        length: int,
        seed: int,
        epoch: int = 0,
        done: int = 0,
        pools: Sequence[Pool] = (),
        batch_size: int = 1,
    ) -> None:
        super().__init__(length, batch_size, seed)
        self.epoch = epoch
        self.length = length
        self.pools = list(pools)
        self._resume = (epoch, done)

    def __len__(self) -> int:
        photos = self.length + sum(pool.drawn for pool in self.pools)
        return photos // self.together * self.batch_size or -(-photos // self.num_replicas)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = self._resume
        shuffled = torch.randperm(self.length, generator=torch.Generator().manual_seed(self.seed + self.epoch))
        order = interleave([[(self.epoch, index) for index in shuffled.tolist()], *self._from_pools()])
        yield from self._share(order)[done if epoch == self.epoch else 0 :]

    def _share(self, order: Sequence[T]) -> list[T]:
        own, more = self._last_batch(order)
        return self._whole_batches(order) or own + more

    def _from_pools(self) -> Iterator[list[tuple[int, int]]]:
        first = self.length
        for number, pool in enumerate(self.pools):
            yield [(pass_, first + index) for pass_, index in self._section(number, pool)]
            first += pool.size

    def _section(self, number: int, pool: Pool) -> list[tuple[int, int]]:
        """Return the epoch's section of the endless sequence of a shuffled pool."""
        begin = self.epoch * pool.drawn
        passes = range(begin // pool.size, -(-(begin + pool.drawn) // pool.size))
        row = [(pass_, index) for pass_ in passes for index in self._shuffled(number, pool, pass_)]
        begin -= passes.start * pool.size
        return row[begin : begin + pool.drawn]

    def _shuffled(self, number: int, pool: Pool, pass_: int) -> list[int]:
        return np.random.default_rng((self.seed, pass_, number)).permutation(pool.size).tolist()


class WholeSampler(SharedSampler):
    """Yield (index, counted) pairs of all photos in their order, each counted in one process.

    In the last batch, processes with fewer photos than others get photos that are not counted.

    Args:
        length: number of photos.
        batch_size: photos in a batch of one process.
    """

    def __init__(self, length: int, batch_size: int) -> None:
        super().__init__(length, batch_size)
        self.length = length

    def __len__(self) -> int:
        batches, rest = divmod(self.length, self.together)
        return batches * self.batch_size - (-rest // self.num_replicas)

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        order = range(self.length)
        own, more = self._last_batch(order)
        yield from ((index, True) for index in [*self._whole_batches(order), *own])
        yield from ((index, False) for index in more)


def interleave(lists: Sequence[list[T]]) -> list[T]:
    """Merge lists, each in its own order and spread evenly."""
    places = [(index + 0.5) / len(items) for items in lists for index in range(len(items))]
    together = [item for items in lists for item in items]
    return [together[index] for index in np.argsort(places, kind="stable")]


def photos_drawn(labelled: int, unlabelled: int, ratio: float | None) -> int:
    """Return the number of unlabelled photos in an epoch.

    Args:
        labelled: number of labelled photos.
        unlabelled: number of unlabelled photos.
        ratio: share of unlabelled photos in an epoch; None takes each once.

    Raises:
        ValueError: the ratio is out of its range, or there are no unlabelled photos.
    """
    if ratio is None:
        return unlabelled
    if not 0 <= ratio < 1:
        raise ValueError(
            f"data.unlabelled_ratio={ratio} must be at least 0 and below 1, or null: each photo once an epoch"
        )
    if ratio and not unlabelled:
        raise ValueError(
            f"data.unlabelled_ratio={ratio} needs unlabelled photos; give data.unlabelled=FOLDER, or keep fewer labels "
            "with data.label_fraction"
        )
    return max(1, round(labelled * ratio / (1 - ratio))) if ratio else 0
