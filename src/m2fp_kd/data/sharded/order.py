"""The order of photos in shards as a function of (seed, epoch, processes, workers) alone."""

from collections.abc import Iterator, Sequence

import numpy as np

from m2fp_kd.data.sampling import SharedSampler


class ShardSampler(SharedSampler):
    """Yield (epoch, index) pairs of photos such that every worker reads a few shards at a time.

    The shards are shuffled and laid in a row, which is cut into a piece of equal length for every process, and that
    into one for every worker of the process. A worker shuffles the photos of `buffer` successive shards of its piece.
    Photos beyond the last whole batch of all processes are left out of the epoch, others in every epoch.

    PyTorch's loader gives its batches to its workers in turn, so each gets its own piece. Lightning sets the epoch.

    Args:
        sizes: number of photos of each shard.
        batch_size: photos per batch and process.
        workers: processes that load photos; 0 counts as one.
        buffer: shards among whose photos a worker shuffles.
        seed: seed that determines the order together with the epoch.
        epoch: first epoch.
        done: number of photos of this process's piece to skip in the first epoch, seen before an interruption.

    Raises:
        ValueError: there are fewer photos than processes.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int,
        workers: int = 0,
        buffer: int = 4,
        seed: int = 0,
        epoch: int = 0,
        done: int = 0,
    ) -> None:
        super().__init__(sum(sizes), batch_size, seed)
        self.epoch = epoch
        self.sizes = np.asarray(sizes)
        self.workers = max(1, workers)
        self.buffer = buffer
        share = int(self.sizes.sum()) // self.num_replicas
        if not share:
            raise ValueError(
                f"{self.sizes.sum()} photos cannot be shared by {self.num_replicas} processes; start fewer"
            )
        self.batch_size = min(batch_size, share)
        self.num_samples = share // self.batch_size * self.batch_size
        self._resume = (epoch, done)

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = self._resume
        order = self.order(self.epoch)[done if epoch == self.epoch else 0 :]
        return ((self.epoch, int(index)) for index in order)

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of this process's photos in an epoch, int64 (`len(self)`,)."""
        rng = np.random.default_rng((self.seed, epoch))
        firsts = np.cumsum(self.sizes) - self.sizes
        row = np.concatenate([firsts[shard] + np.arange(self.sizes[shard]) for shard in rng.permutation(len(firsts))])
        row = np.roll(row, -rng.integers(len(row)))  # the photos at its end are left out
        piece = row[self.rank * self.num_samples :][: self.num_samples]
        batches = np.empty((self.num_samples // self.batch_size, self.batch_size), np.int64)
        begin = 0
        for worker in range(self.workers):
            mine = batches[worker :: self.workers]
            mine[:] = self._shuffled(piece[begin : begin + mine.size], firsts, (epoch, worker)).reshape(mine.shape)
            begin += mine.size
        return batches.ravel()

    def _shuffled(self, piece: np.ndarray, firsts: np.ndarray, key: tuple[int, int]) -> np.ndarray:
        """Shuffle the photos of every `buffer` successive shards of a worker's piece."""
        rng = np.random.default_rng((self.seed, *key, self.rank))
        shards = np.searchsorted(firsts, piece, side="right")
        borders = np.flatnonzero(np.diff(shards)) + 1
        return np.concatenate(
            [rng.permutation(group) for group in np.split(piece, borders[self.buffer - 1 :: self.buffer])]
        )
