"""The order of training photos as a function of (seed, epoch) alone."""

from collections.abc import Iterator

import numpy as np
import torch.distributed
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler):
    """Shuffle indices and yield (epoch, index) pairs, which carry the epoch to the workers.

    Every epoch has all photos of a fixed set and, spread evenly among them, some photos of a pool, so that every part
    of an epoch has both kinds in the same proportion. The sampler shuffles the pool and runs through it repeatedly,
    across epochs: no photo of the pool is repeated before all others were seen. The pairs of the pool's photos carry
    the number of completed passes instead of the epoch, so a photo that occurs twice in an epoch has two keys.

    The class is a `DistributedSampler` because Lightning keeps such a sampler in place under DDP; each process yields
    its own share. Lightning calls `set_epoch` before every epoch, but starts workers before the first.

    Args:
        length: number of photos of the fixed set; their indices come first.
        seed: seed that determines the order together with the epoch.
        epoch: first epoch.
        done: number of photos of this process's share to skip in the first epoch, seen before an interruption.
        pool: number of photos in the pool.
        drawn: number of the pool's photos in an epoch, rounded up to a multiple of the number of processes.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0, done: int = 0, pool: int = 0, drawn: int = 0) -> None:
        spread = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            range(length),  # type: ignore[arg-type]  # only its length is used
            num_replicas=torch.distributed.get_world_size() if spread else 1,
            rank=torch.distributed.get_rank() if spread else 0,
            seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
        )
        self.epoch = epoch
        self.length = length
        self.pool = pool
        self.drawn = -(-drawn // self.num_replicas) * self.num_replicas
        self._resume = (epoch, done)

    def __len__(self) -> int:
        return self.num_samples + self.drawn // self.num_replicas

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = self._resume
        order = _interleave([(self.epoch, index) for index in super().__iter__()], self._from_pool())
        yield from order[done if epoch == self.epoch else 0 :]

    def _from_pool(self) -> list[tuple[int, int]]:
        """Return this process's share of the epoch's section of the endless sequence of shuffled pools."""
        if not self.drawn:
            return []
        begin = self.epoch * self.drawn
        passes = range(begin // self.pool, -(-(begin + self.drawn) // self.pool))
        row = [(pass_, self.length + index) for pass_ in passes for index in self._shuffled_pool(pass_)]
        begin -= passes.start * self.pool
        return row[begin : begin + self.drawn][self.rank :: self.num_replicas]

    def _shuffled_pool(self, pass_: int) -> list[int]:
        return np.random.default_rng((self.seed, pass_)).permutation(self.pool).tolist()


def _interleave(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge two lists, each in its own order and spread evenly."""
    places = [(index + 0.5) / len(pairs) for pairs in (first, second) for index in range(len(pairs))]
    both = first + second
    return [both[index] for index in np.argsort(places, kind="stable")]
