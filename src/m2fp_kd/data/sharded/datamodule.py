"""Lightning loaders of a data set in shards."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import Photos, TrainingPhotos
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.sharded.index import TarShard, find_shards
from m2fp_kd.data.sharded.order import ShardSampler
from m2fp_kd.data.sharded.photos import ShardPhotos
from m2fp_kd.data.sharded.unpacking import unpacked
from m2fp_kd.data.sharded.urls import expand
from m2fp_kd.data.splits import Splits
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.labels import LabelSet, load_label_set
from m2fp_kd.runtime.files import text_sha256

log = logging.getLogger(__name__)

SINGLE_PHOTOS = {
    "limit": "data.module.limit",
    "label_fraction": "data.label_fraction",
    "unlabelled": "data.unlabelled",
    "unlabelled_ratio": "data.unlabelled_ratio",
}
"""Options of a data module that choose single photos -> what users call them."""


@dataclass(frozen=True)
class ShardedSplits:
    """A data set in shards.

    Attributes:
        train: shards to train on.
        val: validation photos, unpacked.
        test: test photos, unpacked; empty without any.
        label_models: models that wrote the labels of the shards.
    """

    train: Sequence[TarShard]
    val: Sequence[Record]
    test: Sequence[Record] = ()
    label_models: Sequence[dict[str, Any]] = ()


def shard_splits(
    urls: str | Sequence[str],
    val_urls: str | Sequence[str],
    labels: str,
    unpack_to: str | Path,
    test_urls: str | Sequence[str] | None = None,
) -> ShardedSplits:
    """Find the shards of a data set, and unpack its validation and test photos.

    Args:
        urls: patterns of the shards to train on, as for `expand`.
        val_urls: patterns of the shards to validate on.
        labels: label set of the photos, by name or YAML file.
        unpack_to: folder for the photos of `val_urls` and `test_urls`.
        test_urls: patterns of the shards to score once, after training; None for none.

    Raises:
        ShardError: a pattern matches nothing, or a shard is missing, torn, unknown, or of another label set.
    """
    label_set = load_label_set(labels)
    train, models = find_shards(expand(urls), label_set)
    sides = {"Validation": (val_urls, "data.val_urls"), "Testing": (test_urls, "data.test_urls")}
    held_out: dict[str, list[Record]] = {}
    for split, (given, setting) in sides.items():
        if given is not None:
            shards, others = find_shards(expand(given, setting), label_set)
            held_out[split] = unpacked(shards, Path(unpack_to), split)
            models += [model for model in others if model not in models]
    return ShardedSplits(train, held_out.get("Validation", ()), held_out.get("Testing", ()), models)


def sharded_data_module(
    splits: ShardedSplits, labels: str, size: int, batch_size: int, **options: Any
) -> "ShardedDataModule":
    """Build the data module of shards, as `conf/data/shards.yaml` describes it.

    Args:
        splits: the shards.
        labels: name of a label set, or a YAML file.
        size: as in `ShardedDataModule`, like `batch_size` and the `options`, of which those in `SINGLE_PHOTOS` must be
            None.

    Raises:
        ValueError: one of those is set.
    """
    chosen = {setting: options.pop(name, None) for name, setting in SINGLE_PHOTOS.items()}
    if given := [setting for setting, value in chosen.items() if value is not None]:
        raise ValueError(f"{', '.join(given)} cannot choose photos of shards; leave it out, or name fewer shards")
    return ShardedDataModule(splits, load_label_set(labels), size, batch_size, **options)


class ShardedDataModule(ParsingDataModule):
    """Training batches from shards; validation and test batches from files that were unpacked from shards.

    As from files, all randomness is a function of (seed, epoch, index), and after an interruption training continues
    with the next batch. But the order depends on the numbers of processes and of workers.

    Args:
        splits: the shards.
        labels: label set of all photos.
        size: as in `ParsingDataModule`, like `batch_size` and the `options`.
        buffer: shards among whose photos each worker shuffles, which it keeps open.

    Raises:
        ValueError: pseudo labels are set.
    """

    def __init__(
        self,
        splits: ShardedSplits,
        labels: LabelSet,
        size: int,
        batch_size: int,
        *,
        buffer: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(Splits((), splits.val, splits.test), labels, size, batch_size, **options)
        if self.pseudo_labels:
            raise ValueError("shards cannot have pseudo labels; leave out data.module.pseudo_labels")
        self.shards = splits.train
        self._label_models = list(splits.label_models)
        self.buffer = buffer
        self.train = ShardPhotos(self.shards, labels, None, buffer)
        self._processes: list[int] | None = None

    @property
    def needs_teacher(self) -> bool:
        """Whether only a teacher can give targets for the training photos."""
        return not self._have("categories")

    @property
    def has_persons(self) -> bool:
        """Whether training photos carry person ids."""
        return self._have("persons")

    def _have(self, name: str) -> bool:
        return any(name in shard.facts.maps for shard in self.shards)

    def sha256(self) -> str | None:
        """Return one hash of all training and validation photos."""
        return text_sha256([super().sha256(), [shard.facts.sha256 for shard in self.shards]])

    def label_models(self) -> list[dict[str, Any]]:
        """Return the models that wrote the labels, as the indexes name them."""
        return self._label_models

    def training_photos(self) -> Photos:
        """Return the photos of the first shards, without augmentation; all would have to be fetched otherwise."""
        return ShardPhotos(self.shards[: self.buffer], self.labels, None, self.buffer)

    def _check_cache(self, cache: TeacherCache) -> None:
        for shard in self.shards:
            if shard.facts.targets != cache.key:
                what = "the targets of another teacher or geometry" if shard.facts.targets else "no targets"
                raise CacheError(
                    f"{shard.url} has {what}: make the shards again with `m2fp-kd shards make --cache "
                    f"{cache.path.parent}`, or use teacher=live"
                )
        super()._check_cache(cache)

    def train_dataloader(self) -> DataLoader:
        """Return a loader of batches like those from files."""
        epoch, batches = self._resume
        sizes = [shard.facts.photos for shard in self.shards]
        done = batches * self.batch_size
        sampler = ShardSampler(sizes, self.batch_size, self.workers, self.buffer, self.seed, epoch, done)
        self._warn_of_processes(sampler)
        photos = ShardPhotos(self.shards, self.labels, self.cache, self.buffer)
        id_maps = [name for name in ("persons", "instances") if self._have(name)]
        items = TrainingPhotos(photos, self.labels, self.geometry.size, self.augmentation, self.seed, id_maps=id_maps)
        return self._loader(items, sampler=sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return where training continues, and the numbers of processes and workers, on which the order depends."""
        assert self.trainer is not None
        return super().state_dict() | {"processes": [self.trainer.world_size, max(1, self.workers)]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set where training continues, for the next call of `train_dataloader`."""
        super().load_state_dict(state_dict)
        self._processes = state_dict.get("processes")

    def _warn_of_processes(self, sampler: ShardSampler) -> None:
        now = [sampler.num_replicas, sampler.workers]
        if self._processes not in (None, now) and self._resume[1]:
            before = "{} processes of {} workers".format(*self._processes or ())
            log.warning(
                "the interrupted epoch began with %s: it now misses photos and repeats others, later epochs do not",
                before,
            )
