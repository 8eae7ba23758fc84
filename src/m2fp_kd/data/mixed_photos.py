"""Photos of several sources in one list, each with the labels and the table of its own source."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from m2fp_kd.data.dataset import Photos, TrainingPhotos, WholePhotos
from m2fp_kd.data.reading import Photo, SourceLabels
from m2fp_kd.data.sampling import interleave
from m2fp_kd.labels import PartSets


class MixedTrainingPhotos(Dataset):
    """Augmented photos of all sources, each with the table of its own source.

    Items are those of `TrainingPhotos` without person and instance ids, with merged labels as `parts`, and with
    `source`, the source's number, its `sets`, bool (L, P) with a row for each label of the longest label set, and its
    `counts_as`, int64 (P,), and `sources`, the source's name.

    Args:
        items: photos of each source.
        part_sets: table of each source, by name, in the same order.
    """

    def __init__(self, items: Sequence[TrainingPhotos], part_sets: Mapping[str, PartSets]) -> None:
        self.items = items
        self.names = list(part_sets)
        rows = max(len(table.sets) for table in part_sets.values())
        self.merged = [torch.from_numpy(table.merged) for table in part_sets.values()]
        self.tables = [_table(number, table, rows) for number, table in enumerate(part_sets.values())]
        self.places = [(number, index) for number, photos in enumerate(items) for index in range(len(photos))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        number, index = self.places[index]
        item = self.items[number][epoch, index]
        kept = {name: value for name, value in item.items() if name not in ("persons", "instances")}
        own = {"parts": self.merged[number][item["parts"].long()], "sources": self.names[number]}
        return kept | own | self.tables[number]


def _table(number: int, table: PartSets, rows: int) -> dict[str, Tensor]:
    sets = np.zeros((rows, table.student.num_parts), bool)
    sets[: len(table.sets)] = table.sets
    counts_as = torch.from_numpy(table.counts_as.astype(np.int64))
    return {"source": torch.tensor(number), "sets": torch.from_numpy(sets), "counts_as": counts_as}


class MixedWholePhotos(Dataset):
    """Whole photos of all sources, spread evenly. Items are `WholePhotos`' with `sources`, the source's name."""

    def __init__(self, items: Mapping[str, WholePhotos]) -> None:
        self.items = items
        self.places = interleave([[(name, index) for index in range(len(photos))] for name, photos in items.items()])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        name, index = self.places[index]
        return self.items[name][index] | {"sources": name}


class MixedPhotos:
    """Photos of all sources, spread evenly, for a student.

    Labels are also `of_source`; photos whose labels are not the student's have no other labels, and no ids.

    Args:
        photos: photos of each source.
        part_sets: table of each source, by name, in the same order.
    """

    def __init__(self, photos: Sequence[Photos], part_sets: Mapping[str, PartSets]) -> None:
        self.photos = photos
        self.part_sets = list(part_sets.items())
        self.places = interleave(
            [[(number, index) for index in range(len(some))] for number, some in enumerate(photos)]
        )

    def __len__(self) -> int:
        return len(self.places)

    def photo(self, epoch: int, index: int) -> Photo:
        number, index = self.places[index]
        photo, (source, table) = self.photos[number].photo(epoch, index), self.part_sets[number]
        labels = None if photo.parts is None else SourceLabels(source, table, photo.parts)
        kept = photo if table.one_to_one else Photo(photo.name, photo.image)
        return replace(kept, of_source=labels)

    def target(self, index: int) -> None:
        return None
