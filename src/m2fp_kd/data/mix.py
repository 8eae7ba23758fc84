"""Training photos from several data sets, each with labels of its own, for one student."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from m2fp_kd.data.checking import check_photos
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos, Photos, StoredPhotos, TrainingPhotos, WholePhotos
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.mixed_photos import MixedPhotos, MixedTrainingPhotos, MixedWholePhotos
from m2fp_kd.data.sampling import Pool
from m2fp_kd.data.splits import Splits, stored, without_copies
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.labels import LabelSet, PartSets, find_part_sets, load_label_set

log = logging.getLogger(__name__)

Uses = Sequence[Record] | DrawnPhotos


@dataclass(frozen=True)
class Source:
    """One data set of a mix.

    Attributes:
        splits: its photos by their use. The names of those on disk begin with the source's name.
        part_sets: parts of the student that its labels can be.
        ratio: its share of an epoch in proportion to the ratios of the other sources, above 0.
    """

    splits: Splits
    part_sets: PartSets
    ratio: float


def mixture(sources: Mapping[str, Mapping[str, Any]], labels: str) -> dict[str, Source]:
    """Return the sources of a mix, as `conf/data/source` describes them.

    Training photos of which another source validates or tests on a copy are left out.

    Args:
        sources: source name -> `splits` as a layout function returns them, `labels` (name of a label set or YAML file),
            `ratio`, and `table` (YAML file of its part sets; None for the built-in table). The layout reads
            `root`, and training `teacher`.
        labels: label set of the student, by name or YAML file.

    Raises:
        ValueError: there is no source, a ratio is not positive, a source has no training photo or no valid table.
    """
    if not sources:
        raise ValueError("a mix needs sources; give some, for instance 'data/source@data.sources=[ccp,cihp]'")
    return _apart({name: _source(name, values, labels) for name, values in sources.items()})


def _apart(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Leave out the training photos of which another source validates or tests on a copy."""
    apart = {}
    for name, source in sources.items():
        held_out = [r for other, one in sources.items() if other != name for r in one.splits.held_out]
        train = source.splits.train
        kept = train if isinstance(train, DrawnPhotos) else without_copies(train, held_out)
        if left_out := len(train) - len(kept):
            log.info("left out %d training photos of %s: another source validates or tests on them", left_out, name)
        if not len(kept):
            raise ValueError(f"the source '{name}' has no training photo that no other source validates or tests on")
        apart[name] = replace(source, splits=replace(source.splits, train=kept))
    return apart


def _source(name: str, values: Mapping[str, Any], labels: str) -> Source:
    setting, splits, ratio = f"data.sources.{name}", values["splits"], values["ratio"]
    if not ratio > 0:
        raise ValueError(f"{setting}.ratio={ratio} must be above 0; leave the source out of data.sources instead")
    if not len(splits.train):
        raise ValueError(f"the source '{name}' has no training photo; check {setting}.root, or leave the source out")
    try:
        part_sets = find_part_sets(load_label_set(values["labels"]), load_label_set(labels), values["table"])
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{setting}: {error}") from error
    return Source(_named(splits, name), part_sets, float(ratio))


def _named(splits: Splits, source: str) -> Splits:
    """Put the source's name before the names of its photos, which are unique within a source only.

    Unlabelled photos are not trained on; ``stage=pretrain`` uses them.
    """

    def rename(photos: Uses) -> Any:
        if isinstance(photos, DrawnPhotos):
            return photos
        return [replace(record, name=f"{source}-{record.name}") for record in photos]

    return Splits(*map(rename, (splits.train, splits.val, splits.test, splits.unlabelled)))


def mixed_data_module(
    splits: Mapping[str, Source],
    labels: str,
    size: int,
    batch_size: int,
    *,
    limit: int | None = None,
    label_fraction: float | None = None,
    unlabelled: str | Path | None = None,
    **options: Any,
) -> "MixedDataModule":
    """Build the data module of a mix, as `conf/data/mix.yaml` describes it.

    Args:
        splits: sources, as `mixture` returns them.
        labels: label set of the student, by name or YAML file.
        size: as in `ParsingDataModule`, like `batch_size` and the `options`.
        limit: must be None, like `label_fraction` and `unlabelled`, which choose photos of one data set.

    Raises:
        ValueError: one of those is set.
    """
    chosen = {"module.limit": limit, "label_fraction": label_fraction, "unlabelled": unlabelled}
    if given := [f"data.{name}" for name, value in chosen.items() if value is not None]:
        raise ValueError(f"{', '.join(given)} cannot choose photos of a mix; leave it out, or train on one data set")
    return MixedDataModule(splits, load_label_set(labels), size, batch_size, **options)


class MixedDataModule(ParsingDataModule):
    """Training batches from several sources, which share every part of an epoch in proportion to their ratios.

    A source with few photos repeats them, with new augmentation, before a larger one has shown all of its own. Photos
    have the labels of their source, and carry the source's table.

    Args:
        sources: sources of the mix by name.
        labels: label set of the student.
        size: as in `ParsingDataModule`, like `batch_size` and the `options`.
        epoch_length: photos in an epoch; None for the number of all training photos.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        labels: LabelSet,
        size: int,
        batch_size: int,
        *,
        epoch_length: int | None = None,
        **options: Any,
    ) -> None:
        uses = ("train", "val", "test")
        on_disk = {use: [r for source in sources.values() for r in stored(getattr(source.splits, use))] for use in uses}
        super().__init__(Splits(**on_disk), labels, size, batch_size, **options)
        self.sources = dict(sources)
        photos = [len(source.splits.train) for source in sources.values()]
        ratios = [source.ratio for source in sources.values()]
        length = epoch_length or sum(photos)
        self.pools = [
            Pool(size, max(1, round(length * ratio / sum(ratios)))) for size, ratio in zip(photos, ratios, strict=True)
        ]

    @property
    def has_persons(self) -> bool:
        """Whether training photos carry person ids: those of a mix do not."""
        return False

    @property
    def part_sets(self) -> dict[str, PartSets]:
        """Tables of the labels that the photos have, by source."""
        return {name: source.part_sets for name, source in self.sources.items()}

    @property
    def scored(self) -> dict[str, list[Record]]:
        """Photos on disk to score models on, by source: the test photos, else those for validation."""
        splits = {name: source.splits for name, source in self.sources.items()}
        found = {name: list(photos.test) or list(stored(photos.val)) for name, photos in splits.items()}
        return {name: records for name, records in found.items() if records}

    def training_photos(self) -> Photos:
        """Return the training photos, without augmentation, as `MixedPhotos`."""
        return self._mixed_photos("train")

    def validation_photos(self) -> Photos:
        """Return the validation photos, as `MixedPhotos`."""
        return self._mixed_photos("val")

    def check_files(self, known: Path) -> None:
        """Check all photos and label maps on disk, each in the labels of its source."""
        for source in self.sources.values():
            on_disk = [*stored(source.splits.train), *source.splits.held_out]
            check_photos(on_disk, source.part_sets.source, known)

    def setup(self, stage: str | None = None) -> None:
        """Check that the photos have the cached targets and labels that they need.

        Raises:
            CacheError: photos lack a cached target; the message names them.
            ValueError: validation or test photos have no labels, or pseudo labels are set.
        """
        if self.pseudo_labels:
            raise ValueError("a mix takes its labels from its photos; leave out data.module.pseudo_labels")
        super().setup(stage)

    def _check_cache(self, cache: TeacherCache) -> None:
        if drawn := [name for name, source in self.sources.items() if isinstance(source.splits.train, DrawnPhotos)]:
            raise CacheError(
                f"the scenes of {', '.join(drawn)} are drawn on the fly and have no cached targets; use teacher=live, "
                "or leave this source out of data.sources"
            )
        super()._check_cache(cache)

    def _epoch(self) -> tuple[int, list[Pool]]:
        return 0, self.pools

    def _training_items(self) -> Dataset:
        items = []
        for number, source in enumerate(self.sources.values()):
            photos = self._source_photos(source, source.splits.train, self.cache)
            seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
            items.append(TrainingPhotos(photos, source.part_sets.source, self.geometry.size, self.augmentation, seed))
        return MixedTrainingPhotos(items, self.part_sets)

    def val_dataloader(self) -> DataLoader:
        """Return a loader of `ParsingDataModule`'s batches with `sources`; all sources are in each part of them."""
        return self._counted(self._mixed_whole("val", self.cache))

    def test_dataloader(self) -> DataLoader | list:
        """Return a loader like the validation loader, without cached targets."""
        return self._loader(self._mixed_whole("test", None)) if self.test else []

    def _mixed_whole(self, use: str, cache: TeacherCache | None) -> MixedWholePhotos:
        return MixedWholePhotos(
            {
                name: WholePhotos(photos, source.part_sets.source, self.geometry)
                for name, source in self.sources.items()
                if len(photos := self._source_photos(source, getattr(source.splits, use), cache))
            }
        )

    def _mixed_photos(self, use: str) -> MixedPhotos:
        photos = [self._source_photos(source, getattr(source.splits, use), None) for source in self.sources.values()]
        return MixedPhotos(photos, self.part_sets)

    @staticmethod
    def _source_photos(source: Source, photos: Uses, cache: TeacherCache | None) -> Photos:
        return photos if isinstance(photos, DrawnPhotos) else StoredPhotos(photos, source.part_sets.source, cache)
