"""Records -> Lightning loaders."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2fp_kd.data.dataset import DrawnPhotos, Photos, StoredPhotos, TrainingPhotos, WholePhotos, collate
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.sampling import EpochSampler
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.data.transforms import NO_AUGMENTATION, Augmentation
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.geometry import Geometry


class ParsingDataModule(pl.LightningDataModule):
    """Training batches of augmented crops, validation and test batches of whole photos.

    Everything random is a function of (seed, epoch, index): neither the number of workers nor an interruption changes
    a batch. After a stop in the middle of an epoch, training goes on with the next batch of that epoch.

    Args:
        train: records, or scenes drawn on the fly.
        val: records or scenes.
        test: records; empty for none.
        labels: label set of them all.
        size: side of crops and canvases in pixels, a multiple of 32.
        batch_size: photos per batch and process.
        augmentation: what is drawn for training photos.
        workers: processes that load; 0 loads in the training process.
        seed: determines the order and the augmentation.
        cache: what a teacher said of the training and validation photos. It may also be set later, before `setup`.
        pseudo_labels: give unlabelled photos the teacher's most probable part as label (needs `cache`).
    """

    def __init__(
        self,
        train: Sequence[Record] | DrawnPhotos,
        val: Sequence[Record] | DrawnPhotos,
        labels: LabelSet,
        size: int,
        batch_size: int,
        augmentation: Augmentation = NO_AUGMENTATION,
        workers: int = 0,
        seed: int = 0,
        test: Sequence[Record] = (),
        cache: TeacherCache | None = None,
        pseudo_labels: bool = False,
    ) -> None:
        super().__init__()
        self.train = train
        self.val = val
        self.test = test
        self.labels = labels
        self.geometry = Geometry(size)
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.workers = workers
        self.seed = seed
        self.cache = cache
        self.pseudo_labels = pseudo_labels
        self._resume = (0, 0)

    @property
    def records(self) -> list[Record]:
        """Training and validation photos that are files."""
        return [*_records(self.train), *_records(self.val)]

    @property
    def has_persons(self) -> bool:
        """Whether training photos carry person ids."""
        return isinstance(self.train, DrawnPhotos) or any(record.humans for record in self.train)

    def setup(self, stage: str | None = None) -> None:
        """Checks that cache and labels are there for the photos that need them.

        Raises:
            CacheError: photos without a cached target (named).
            ValueError: pseudo labels without a cache, no validation photos, or some without labels.
        """
        if self.cache is None and self.pseudo_labels:
            raise ValueError("pseudo_labels=true takes labels from a teacher's cache; choose teacher=cached")
        if self.cache is not None:
            self._check_cache(self.cache)
        if not len(self.val):
            raise ValueError("there are no photos to validate on; give data.module.val_root=FOLDER of labelled photos")
        if not self.pseudo_labels:
            _check_labelled([*_records(self.val), *self.test])

    def _check_cache(self, cache: TeacherCache) -> None:
        if isinstance(self.train, DrawnPhotos):
            raise CacheError("scenes drawn on the fly have no cached targets; use teacher=live")
        needed = [record.name for record in [*self.train, *_records(self.val)]]
        if len(set(needed)) < len(needed):
            twice = sorted({name for name in needed if needed.count(name) > 1})[:5]
            raise CacheError(f"training and validation photos of one name: {', '.join(twice)}; rename one of each")
        missing = sorted(set(needed) - set(cache.names))
        if missing:
            raise CacheError(
                f"{cache.path} has no target of {len(missing)} of {len(needed)} photos ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}); build the cache for these photos"
            )

    def train_dataloader(self) -> DataLoader:
        """Batches of `images, valid, parts[, humans, instances, log_parts], names`."""
        dataset = TrainingPhotos(
            self._photos(self.train, self.cache), self.labels, self.geometry.size, self.augmentation, self.seed,
            self.pseudo_labels,
        )  # fmt: skip
        epoch, batches = self._resume
        sampler = EpochSampler(len(dataset), self.seed, epoch, done=batches * self.batch_size)
        return self._loader(dataset, sampler=sampler, drop_last=len(sampler) >= self.batch_size)

    def val_dataloader(self) -> DataLoader:
        """Batches of `images, placements, truth, names`."""
        return self._whole(self._photos(self.val, self.cache))

    def test_dataloader(self) -> DataLoader | list:
        """Like validation, without cached targets."""
        return self._whole(self._photos(self.test, None)) if self.test else []

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Moves the tensors; placements, truth and names stay."""
        return {
            key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }

    def state_dict(self) -> dict[str, int]:
        """Where training goes on: the epoch, and how many of its batches have been seen."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epoch = loop.epoch_progress.current.started  # type: ignore[attr-defined]
        batches = loop.epoch_loop.batch_progress
        return (
            {"epoch": epoch, "batches": 0}
            if batches.is_last_batch
            else {"epoch": epoch - 1, "batches": batches.current.processed}  # type: ignore[attr-defined]
        )

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Takes effect in the next `train_dataloader`."""
        self._resume = (state_dict["epoch"], state_dict["batches"])

    def _photos(self, source: Sequence[Record] | DrawnPhotos, cache: TeacherCache | None) -> Photos:
        return source if isinstance(source, DrawnPhotos) else StoredPhotos(source, self.labels, cache)

    def _whole(self, photos: Photos) -> DataLoader:
        return self._loader(WholePhotos(photos, self.labels, self.geometry, self.pseudo_labels))

    def _loader(self, dataset: Dataset, **options: Any) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            # A forked copy of a process that has run an inference engine's threads crashes; a spawned one is clean.
            multiprocessing_context="spawn" if self.workers else None,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            **options,
        )


def _records(photos: Sequence[Record] | DrawnPhotos) -> Sequence[Record]:
    return () if isinstance(photos, DrawnPhotos) else photos


def _check_labelled(records: Sequence[Record]) -> None:
    bare = [record.name for record in records if record.categories is None]
    if bare:
        raise ValueError(
            f"{len(bare)} photos to validate on have no labels ({', '.join(bare[:5])}); "
            "validate on labelled ones, or set pseudo_labels=true"
        )
