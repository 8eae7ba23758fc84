"""Lightning loaders of a data set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from m2fp_kd.data.augmentation import NO_AUGMENTATION, Augmentation
from m2fp_kd.data.checking import check_photos
from m2fp_kd.data.dataset import Counted, DrawnPhotos, Photos, StoredPhotos, TrainingPhotos, WholePhotos, collate
from m2fp_kd.data.layouts import Record, data_sha256
from m2fp_kd.data.sampling import EpochSampler, Pool, WholeSampler, photos_drawn
from m2fp_kd.data.splits import Splits, select
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.data.workers import end_with_parent, start_method
from m2fp_kd.labels import LABEL_SETS, Bridge, LabelSet, PartSets, load_label_set
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.label_origin import label_models


def data_module(
    splits: Splits,
    labels: str,
    size: int,
    batch_size: int,
    *,
    limit: int | None = None,
    label_fraction: float | None = None,
    unlabelled: str | Path | Sequence[str | Path] | None = None,
    **options: Any,
) -> "ParsingDataModule":
    """Build the data module of any data set, as `conf/data` describes it.

    Args:
        splits: all photos of the set, as a layout function returns them.
        labels: name of a label set, or a YAML file.
        size: as in `ParsingDataModule`, like `batch_size` and the `options`.
        limit: as in `select`, like `label_fraction` and `unlabelled`.

    Raises:
        ValueError: the choice of photos is impossible, or synthetic scenes get other labels than CIHP's.
    """
    label_set = load_label_set(labels)
    if isinstance(splits.train, DrawnPhotos) and label_set.parts != LABEL_SETS["cihp"].parts:
        raise ValueError(f"synthetic scenes have CIHP's parts, not those of '{label_set.name}'; leave out data.labels")
    return ParsingDataModule(select(splits, limit, label_fraction, unlabelled), label_set, size, batch_size, **options)


class ParsingDataModule(pl.LightningDataModule):
    """Training batches of augmented crops, validation and test batches of whole photos.

    All randomness is a function of (seed, epoch, index): neither the number of workers nor an interruption changes a
    batch. After an interruption in the middle of an epoch, training continues with the next batch of that epoch.

    Args:
        splits: photos by their use; those that are unlabelled are spread evenly among the training photos.
        labels: label set of all photos.
        size: side of crops and canvases in pixels, a multiple of 32.
        batch_size: photos per batch and process.
        augmentation: ranges from which the changes of training photos are drawn.
        workers: processes that load photos; 0 loads in the training process.
        seed: seed of the order and of the augmentation.
        cache: teacher's targets for all photos but the test photos. It may also be set later, before `setup`.
        pseudo_labels: whether unlabelled photos get the teacher's most probable part as label (needs `cache`).
        unlabelled_ratio: share of unlabelled photos in an epoch, from 0 (none) to below 1; None takes each once.
    """

    def __init__(
        self,
        splits: Splits,
        labels: LabelSet,
        size: int,
        batch_size: int,
        *,
        augmentation: Augmentation = NO_AUGMENTATION,
        workers: int = 0,
        seed: int = 0,
        cache: TeacherCache | None = None,
        pseudo_labels: bool = False,
        unlabelled_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.train: Sequence[Record] | Photos = splits.train
        self.val = splits.val
        self.test = splits.test
        self.labels = labels
        self.geometry = Geometry(size)
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.workers = workers
        self.seed = seed
        self.cache = cache
        self.pseudo_labels = pseudo_labels
        self.drawn = photos_drawn(len(splits.train), len(splits.unlabelled), unlabelled_ratio)
        self.unlabelled = splits.unlabelled if self.drawn else ()
        self._resume = (0, 0)

    @property
    def records(self) -> list[Record]:
        """Training and validation photos on disk."""
        return [*_records(self.train), *self.unlabelled, *_records(self.val)]

    def sha256(self) -> str | None:
        """Return one hash of all training and validation photos on disk with their maps; None without any."""
        return data_sha256(self.records)

    def label_models(self) -> list[dict[str, Any]]:
        """Models that wrote the labels, as `label_models` of the runtime returns them; none for labels of people."""
        return label_models(record.categories for record in self.records if record.categories)

    @property
    def needs_teacher(self) -> bool:
        """Whether only a teacher can give targets for some of the training photos."""
        bare = any(record.categories is None for record in [*_records(self.train), *self.unlabelled])
        return bare and not self.pseudo_labels

    @property
    def has_persons(self) -> bool:
        """Whether training photos carry person ids."""
        return isinstance(self.train, DrawnPhotos) or any(record.persons for record in _records(self.train))

    @property
    def scored(self) -> dict[str, list[Record]]:
        """Photos on disk to score models on, by source: the test photos, else those for validation."""
        return {self.labels.name: list(self.test) or list(_records(self.val))}

    @property
    def part_sets(self) -> dict[str, PartSets]:
        """Tables of the labels that the photos have, by source; here one source with the student's labels."""
        return {self.labels.name: PartSets.same(self.labels)}

    def training_photos(self) -> Photos:
        """Return the labelled training photos, without augmentation."""
        return self._photos(self.train, None)

    def validation_photos(self) -> Photos:
        """Return the validation photos."""
        return self._photos(self.val, None)

    def check_files(self, known: Path) -> None:
        """Check all photos and label maps on disk, as `check_photos`; `known` is its file of earlier findings."""
        check_photos([*self.records, *self.test], self.labels, known)

    def setup(self, stage: str | None = None) -> None:
        """Check that the photos have the cached targets and labels that they need.

        Raises:
            CacheError: photos lack a cached target; the message names them.
            ValueError: pseudo labels lack a cache or come from a teacher whose parts are divided among the student's,
                or validation photos are missing or unlabelled.
        """
        if self.pseudo_labels:
            _check_pseudo_labels(self.cache)
        if self.cache is not None:
            self._check_cache(self.cache)
        if not len(self.validation_photos()):
            raise ValueError("there are no photos to validate on; give data.splits.val_root=FOLDER of labelled photos")
        if not self.pseudo_labels:
            _check_labelled([*_records(self.val), *self.test])

    def _check_cache(self, cache: TeacherCache) -> None:
        if isinstance(self.train, DrawnPhotos):
            raise CacheError("scenes that are drawn on the fly have no cached targets; use teacher=live")
        needed = [record.name for record in self.records]
        if twice := sorted(name for name, times in Counter(needed).items() if times > 1):
            names = ", ".join(twice[:5])
            raise CacheError(
                f"training, unlabelled or validation photos share a name: {names}; rename one of each pair"
            )
        missing = sorted(set(needed) - set(cache.names))
        if missing:
            raise CacheError(
                f"{cache.path} has no target of {len(missing)} of {len(needed)} photos ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}); build the cache for these photos"
            )

    def train_dataloader(self) -> DataLoader:
        """Return a loader of batches of `images, valid, parts[, persons, instances, log_parts], names`."""
        epoch, batches = self._resume
        length, pools = self._epoch()
        done = batches * self.batch_size
        sampler = EpochSampler(length, self.seed, epoch, done, pools, self.batch_size)
        return self._loader(self._training_items(), sampler=sampler)

    def _training_items(self) -> Dataset:
        photos = [*self.train, *self.unlabelled] if isinstance(self.train, Sequence) else self.train
        return TrainingPhotos(
            self._photos(photos, self.cache), self.labels, self.geometry.size, self.augmentation, self.seed,
            self.pseudo_labels, self._id_maps(),
        )  # fmt: skip

    def _epoch(self) -> tuple[int, list[Pool]]:
        """Return the number of photos that every epoch has, and the pools that it draws others from."""
        return len(self.train), [Pool(len(self.unlabelled), self.drawn)] if self.drawn else []

    def val_dataloader(self) -> DataLoader:
        """Return a loader of batches of `images, placements, truth, names, counted`.

        The processes of a distributed training share the photos. Each photo is counted in one of them, although a
        process may get it to fill up its last batch.
        """
        return self._counted(self._whole(self._photos(self.val, self.cache)))

    def test_dataloader(self) -> DataLoader | list:
        """Return a loader like the validation loader, without cached targets."""
        return self._loader(self._whole(self._photos(self.test, None))) if self.test else []

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Move the tensors to a device; placements, truth and names stay on the CPU."""
        return {
            key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }

    def state_dict(self) -> dict[str, int]:
        """Return where training continues: the epoch, and the number of its batches that are done."""
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
        """Set where training continues, for the next call of `train_dataloader`."""
        self._resume = (state_dict["epoch"], state_dict["batches"])

    def _id_maps(self) -> list[str]:
        """Return the id maps that labelled photos have; every photo of a batch needs them."""
        records = _records(self.train)
        return [name for name in ("persons", "instances") if any(getattr(record, name) for record in records)]

    def _photos(self, source: Sequence[Record] | Photos, cache: TeacherCache | None) -> Photos:
        return StoredPhotos(source, self.labels, cache) if isinstance(source, Sequence) else source

    def _whole(self, photos: Photos) -> WholePhotos:
        return WholePhotos(photos, self.labels, self.geometry, self.pseudo_labels)

    def _counted(self, items: Dataset) -> DataLoader:
        photos = Counted(items)
        return self._loader(photos, sampler=WholeSampler(len(photos), self.batch_size))

    def _loader(self, dataset: Dataset, **options: Any) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=end_with_parent,
            multiprocessing_context=start_method() if self.workers else None,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            **options,
        )


def _records(photos: Sequence[Record] | Photos) -> Sequence[Record]:
    return photos if isinstance(photos, Sequence) else ()


def _check_pseudo_labels(cache: TeacherCache | None) -> None:
    if cache is None:
        raise ValueError("data.module.pseudo_labels=true takes labels from a teacher's cache; use teacher=cached")
    refuse_divided(cache.bridge)


def refuse_divided(bridge: Bridge | None) -> None:
    """Refuse pseudo labels from a teacher whose bridge divides parts.

    Raises:
        ValueError: it does.
    """
    if bridge is not None and bridge.divided:
        raise ValueError(
            f"the bridge {bridge.name} divides {', '.join(bridge.divided)} among several parts, so the "
            "most probable one is no reliable label: set data.module.pseudo_labels=false"
        )


def _check_labelled(records: Sequence[Record]) -> None:
    bare = [record.name for record in records if record.categories is None]
    if bare:
        raise ValueError(
            f"{len(bare)} validation or test photos have no labels ({', '.join(bare[:5])}); "
            "give labelled ones (data=photos: data.splits.val_root=FOLDER), or set data.module.pseudo_labels=true"
        )
