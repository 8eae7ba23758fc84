"""The order of training photos as a function of (seed, epoch), whatever happened before."""

from collections.abc import Iterator

import numpy as np
import torch.distributed
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler):
    """Shuffles and yields (epoch, index) pairs, so that workers know the epoch without being told.

    Besides the photos that every epoch has, it draws some from a pool, evenly among the others: every stretch of an
    epoch holds both kinds in the same proportion. The pool is shuffled and gone through again and again, across epochs,
    so that none of its photos is seen a second time before all were. In a pair, what stands for the epoch is then how
    often the pool was gone through before: a photo that comes twice in an epoch comes under two keys.

    A `DistributedSampler`, because Lightning then leaves it in place under DDP; each process yields its own share.
    Lightning calls `set_epoch` before every epoch, but starts workers before the first.

    Args:
        length: number of photos that every epoch has; their indices come first.
        seed: with the epoch it determines the order.
        epoch: the one to begin with.
        done: photos of this process's share to leave out of that epoch: they were seen before an interruption.
        pool: number of photos to draw from.
        drawn: how many of them an epoch has; rounded up to a multiple of the processes.
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
        """This process's share of what this epoch takes of the endless row of shuffles."""
        if not self.drawn:
            return []
        begin = self.epoch * self.drawn
        rounds = range(begin // self.pool, -(-(begin + self.drawn) // self.pool))
        row = [(round_, self.length + index) for round_ in rounds for index in self._shuffled_pool(round_)]
        begin -= rounds.start * self.pool
        return row[begin : begin + self.drawn][self.rank :: self.num_replicas]

    def _shuffled_pool(self, round_: int) -> list[int]:
        return np.random.default_rng((self.seed, round_)).permutation(self.pool).tolist()


def _interleave(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Both lists in their order, spread evenly over each other."""
    places = [(index + 0.5) / len(pairs) for pairs in (some, others) for index in range(len(pairs))]
    both = some + others
    return [both[index] for index in np.argsort(places, kind="stable")]
