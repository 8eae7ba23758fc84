"""Items of training and validation batches, made from photos."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from m2fp_kd.data.augmentation import Augmentation
from m2fp_kd.data.layouts import Record
from m2fp_kd.data.reading import Photo, read_record
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.data.teacher_cache import TeacherCache
from m2fp_kd.data.transforms import augment
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, Placement, place
from m2fp_kd.runtime.part_map import part_map

Target = tuple[np.ndarray, Placement]
"""Cached log parts float32 (2, P, h, w) and the photo's placement on their canvas."""


class Photos(Protocol):
    """A source of photos."""

    def __len__(self) -> int: ...

    def photo(self, epoch: int, index: int) -> Photo:
        """Return a photo and its maps."""

    def target(self, index: int) -> Target | None:
        """Return the teacher's target for a photo, None without a cache."""


class StoredPhotos:
    """Photos on disk, the same in every epoch."""

    def __init__(self, records: Sequence[Record], labels: LabelSet, cache: TeacherCache | None = None) -> None:
        self.records = records
        self.labels = labels
        self.cache = cache

    def __len__(self) -> int:
        return len(self.records)

    def photo(self, epoch: int, index: int) -> Photo:
        return read_record(self.records[index], self.labels)

    def target(self, index: int) -> Target | None:
        if self.cache is None:
            return None
        record = self.records[index]
        return self.cache.read(record.name, file_sha256(record.image))


class DrawnPhotos:
    """Synthetic scenes, new in every epoch.

    Args:
        length: scenes per epoch.
        size: side of a scene in pixels.
        persons: fewest and most persons in a scene.
        entropy: seeds that determine a scene together with epoch and index.
    """

    def __init__(self, length: int, size: int, persons: tuple[int, int], entropy: tuple[int, ...]) -> None:
        self.length = length
        self.size = size
        self.persons = persons
        self.entropy = entropy

    def __len__(self) -> int:
        return self.length

    def photo(self, epoch: int, index: int) -> Photo:
        state = np.random.SeedSequence((*self.entropy, epoch, index)).generate_state(1, np.uint64)
        return draw_scene(int(state[0]), self.size, self.persons)

    def target(self, index: int) -> None:
        return None


class TrainingPhotos(Dataset):
    """Augmented photos, indexed by (epoch, index) from `EpochSampler`: equal keys give equal items.

    Args:
        photos: source of the photos.
        labels: label set of the photos.
        size: side of the crop in pixels.
        augmentation: ranges from which the changes are drawn.
        seed: seed that determines every draw together with the key.
        pseudo_labels: label unlabelled photos with the teacher's most probable part; otherwise they are ignored.
        id_maps: maps among `persons` and `instances` that every item has; zeros for a photo without them.
    """

    def __init__(
        self,
        photos: Photos,
        labels: LabelSet,
        size: int,
        augmentation: Augmentation,
        seed: int,
        pseudo_labels: bool = False,
        id_maps: Sequence[str] = (),
    ) -> None:
        self.photos = photos
        self.labels = labels
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.pseudo_labels = pseudo_labels
        self.id_maps = id_maps

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        source = self.photos.photo(epoch, index)
        target = self.photos.target(index)
        rng = np.random.default_rng((self.seed, epoch, index))
        photo, warp = augment(source, self.augmentation, self.size, self.labels, rng)
        item: dict[str, Any] = {"images": _channels_first(photo.image), "valid": warp.valid(), "names": photo.name}
        if target is not None:
            item["log_parts"] = warp.log_parts(torch.from_numpy(target[0]), target[1])
        if photo.parts is not None:
            item["parts"] = torch.from_numpy(photo.parts)
        else:
            unlabelled = np.full(warp.source, self.labels.ignore_index, np.uint8)
            if self.pseudo_labels:
                outside = warp.label_map(np.zeros_like(unlabelled), self.labels.ignore_index)
                item["parts"] = _most_probable(item["log_parts"], outside)
            else:
                item["parts"] = torch.from_numpy(warp.label_map(unlabelled, self.labels.ignore_index))
        for name, ids in (("persons", photo.persons), ("instances", photo.instances)):
            if ids is not None:
                item[name] = torch.from_numpy(ids)
            elif name in self.id_maps:
                item[name] = torch.zeros(self.size, self.size, dtype=torch.int32)
        return item


class WholePhotos(Dataset):
    """Whole photos on the network's canvas, with their labels at full size, for validation and test.

    Args:
        photos: source of the photos; synthetic scenes are those of epoch 0.
        labels: label set of the photos.
        geometry: placement of photos on the canvas.
        pseudo_labels: take the teacher's most probable part as the truth of unlabelled photos.
    """

    def __init__(self, photos: Photos, labels: LabelSet, geometry: Geometry, pseudo_labels: bool = False) -> None:
        self.photos = photos
        self.labels = labels
        self.geometry = geometry
        self.pseudo_labels = pseudo_labels

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> dict[str, Any]:
        photo = self.photos.photo(0, index)
        canvas, placement = place(photo.image, self.geometry)
        truth = self._truth(photo, index)
        return {"images": _channels_first(canvas), "placements": placement, "truth": truth, "names": photo.name}

    def _truth(self, photo: Photo, index: int) -> np.ndarray:
        if photo.parts is not None:
            return photo.parts
        target = self.photos.target(index) if self.pseudo_labels else None
        if target is None:
            raise ValueError(f"{photo.name} has no labels to validate against; choose labelled photos")
        log_parts, placement = target
        return part_map(log_parts[0], placement)


class Counted(Dataset):
    """Items of another data set, indexed by (index, counted) from `WholeSampler`, with `counted` as a field."""

    def __init__(self, items: Dataset) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, key: tuple[int, bool]) -> dict[str, Any]:
        index, counted = key
        return self.items[index] | {"counted": counted}


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Join items to a batch: tensors are stacked, everything else is listed."""
    return {
        key: torch.stack([item[key] for item in items]) if isinstance(value, Tensor) else [item[key] for item in items]
        for key, value in items[0].items()
    }


def _channels_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def _most_probable(log_parts: Tensor, outside: np.ndarray) -> Tensor:
    """Return the part map uint8 of log parts (P, h, w) at the size of `outside`, whose nonzero values override it."""
    planes = log_parts[None].contiguous(memory_format=torch.channels_last)  # argmax over parts is four times faster
    dense = F.interpolate(planes, size=outside.shape, mode="bilinear", align_corners=False)
    parts = dense[0].argmax(dim=0).to(torch.uint8)
    mask = torch.from_numpy(outside)
    return torch.where(mask > 0, mask, parts)
