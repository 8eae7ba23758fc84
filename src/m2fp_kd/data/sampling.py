"""The order of training photos as a function of (seed, epoch), whatever happened before."""

from collections.abc import Iterator

import numpy as np
import torch.distributed
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler):
    """Shuffles and yields (epoch, index) pairs, so that workers know the epoch without being told.

    A `DistributedSampler`, because Lightning then leaves it in place under DDP; each process yields its own share.
    Lightning calls `set_epoch` before every epoch, but starts workers before the first.

    Args:
        length: number of photos.
        seed: with the epoch it determines the order.
        epoch: the one to begin with.
        done: photos of this process's share to leave out of that epoch: they were seen before an interruption.
    """

    def __init__(self, length: int, seed: int, epoch: int = 0, done: int = 0) -> None:
        spread = torch.distributed.is_available() and torch.distributed.is_initialized()
        super().__init__(
            range(length),  # type: ignore[arg-type]  # only its length is used
            num_replicas=torch.distributed.get_world_size() if spread else 1,
            rank=torch.distributed.get_rank() if spread else 0,
            seed=int(np.random.SeedSequence(seed).generate_state(1)[0]),
        )
        self.epoch = epoch
        self._resume = (epoch, done)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = self._resume
        order = list(super().__iter__())
        yield from ((self.epoch, index) for index in order[done if epoch == self.epoch else 0 :])
