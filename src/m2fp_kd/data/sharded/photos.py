"""Photos in shards, by their number."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from m2fp_kd.data.dataset import Target
from m2fp_kd.data.reading import Packed, Photo, read_files
from m2fp_kd.data.sharded.index import KEY_BYTES, TarShard
from m2fp_kd.data.sharded.tar_file import TARGETS, Sample, list_samples, read_end, read_maps
from m2fp_kd.data.sharded.urls import ShardError, open_file
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, decoded, read_entry
from m2fp_kd.labels import LabelSet


class OpenShard(NamedTuple):
    """An open tar and the list of its photos."""

    file: BinaryIO
    samples: list[Sample]


class ShardPhotos:
    """Photos in shards, the same in every epoch. The last shards that were read stay open.

    Args:
        shards: the shards; their photos are numbered in this order.
        labels: label set of the maps.
        cache: key and bridge of the teacher's targets in the shards; None reads no targets.
        most_open: number of shards that stay open.
    """

    def __init__(
        self, shards: Sequence[TarShard], labels: LabelSet, cache: TeacherCache | None = None, most_open: int = 4
    ) -> None:
        self.shards = list(shards)
        self.labels = labels
        self.cache = cache
        self.most_open = most_open
        self.ends = np.cumsum([shard.facts.photos for shard in shards])
        self._open: OrderedDict[int, OpenShard] = OrderedDict()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # another process opens files of its own

    def photo(self, epoch: int, index: int) -> Photo:
        shard, file, sample = self._find(index)
        return read_files(sample.name, self.labels, **read_maps(file, sample, shard.url, shard.facts.maps))

    def target(self, index: int) -> Target | None:
        """Return the teacher's target for a photo, None without a cache.

        Raises:
            CacheError: the target is broken, or was made from another photo or by another teacher.
        """
        if self.cache is None:
            return None
        shard, file, sample = self._find(index)
        body = read_end(file, sample, TARGETS, shard.url).content
        return self._target(body, read_end(file, sample, sample.image, shard.url))

    def _target(self, body: bytes, image: Packed) -> Target:
        assert self.cache is not None
        again = "make the shards again with `m2fp-kd shards make --cache`"
        if body[:KEY_BYTES].hex() != self.cache.key:
            raise CacheError(f"{image}: its targets were made by another teacher or geometry; {again}")
        try:
            found = read_entry(body[KEY_BYTES:], hashlib.sha256(image.content).hexdigest())
            if found is None:
                raise CacheError(f"{image}: its targets were made from another photo; {again}")
            return decoded(found[1], self.cache.bridge), found[0]
        except ValueError as error:
            raise CacheError(f"{image}: its targets are broken ({error}); {again}") from error

    def _find(self, index: int) -> tuple[TarShard, BinaryIO, Sample]:
        number = int(np.searchsorted(self.ends, index, side="right"))
        shard = self.shards[number]
        if number not in self._open:
            while len(self._open) >= self.most_open:
                self._open.popitem(last=False)[1].file.close()
            self._open[number] = self._opened(shard)
        self._open.move_to_end(number)
        file, samples = self._open[number]
        return shard, file, samples[index - int(self.ends[number]) + shard.facts.photos]

    @staticmethod
    def _opened(shard: TarShard) -> OpenShard:
        file = open_file(shard.url)
        samples = list_samples(file, shard.url)
        if len(samples) != shard.facts.photos:
            raise ShardError(
                f"{shard.url} has {len(samples)} photos, but {shard.facts.photos} in shards.json; write the index "
                "again with `m2fp-kd shards index`"
            )
        return OpenShard(file, samples)
