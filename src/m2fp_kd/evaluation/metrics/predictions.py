"""Run models over photos and count their confusion matrices."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.metrics.boundary import BoundaryCounts, boundary_counts
from m2fp_kd.evaluation.metrics.miou import Confusion, confusion
from m2fp_kd.labels import LabelSet, PartSets

Parse = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Photo uint8 ``(H, W, 3)`` RGB -> part map uint8 ``(H, W)`` at the photo's own size, such as `Parser.part_map`."""


class LabelledPhoto(Protocol):
    """The fields of a ``data.reading.Photo`` that scoring needs.

    ``image`` is uint8 ``(H, W, 3)`` RGB; ``parts`` is uint8 ``(H, W)``, or None where the photo has no label.
    """

    @property
    def name(self) -> str: ...
    @property
    def image(self) -> NDArray[np.uint8]: ...
    @property
    def parts(self) -> NDArray[np.uint8] | None: ...


P = TypeVar("P", bound=LabelledPhoto, covariant=True)


@dataclass(frozen=True)
class Predictions(Generic[P]):
    """The part maps of one photo by one or more models.

    Attributes:
        photo: the photo.
        part_maps: one map per model, uint8 ``(H, W)``.
        labels: label set of the photo and of the maps.
    """

    photo: P
    part_maps: tuple[NDArray[np.uint8], ...]
    labels: LabelSet

    def confusion(self, model: int = 0) -> Confusion:
        """Return the confusion matrix ``(P, P)`` of a model, by index, against the photo's label.

        Raises:
            ValueError: the photo has no label, or the two maps do not fit (see `miou.confusion`).
        """
        return self._count(self._truth, self.part_maps[model])

    def boundary(self, model: int = 0) -> BoundaryCounts:
        """Return the counts at the borders of parts ``(7, P)`` of a model, by index, against the photo's label.

        Raises:
            ValueError: the photo has no label.
        """
        return boundary_counts(self._truth, self.part_maps[model], self.labels.num_parts, self.labels.ignore_index)

    def between(self, first: int, second: int) -> Confusion:
        """Return the confusion matrix ``(P, P)`` of the second model against the first, whose map counts as the truth.

        Raises:
            ValueError: the two maps do not fit (see `miou.confusion`).
        """
        return self._count(self.part_maps[first], self.part_maps[second])

    @property
    def _truth(self) -> NDArray[np.uint8]:
        if self.photo.parts is None:
            raise ValueError(f"{self.photo.name}: has no label; evaluate on labelled photos only")
        return self.photo.parts

    def _count(self, truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> Confusion:
        try:
            return confusion(truth, prediction, self.labels.num_parts, self.labels.ignore_index)
        except ValueError as error:
            raise ValueError(f"{self.photo.name}: {error}") from error


@dataclass(frozen=True)
class _Truth:
    """A photo with other labels than its own."""

    name: str
    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]


def in_source(found: Predictions, truth: NDArray[np.uint8], table: PartSets) -> Predictions:
    """Express part maps in the labels of another label set, to score them there; see `PartSets.in_source`.

    Args:
        found: part maps of a photo in the student's parts.
        truth: labels of the photo, uint8 ``(H, W)``.
        table: table of the labels.

    Raises:
        ValueError: a part map differs in size from the labels.
    """
    pairs = [table.in_source(part_map, truth) for part_map in found.part_maps]
    photo = _Truth(found.photo.name, found.photo.image, pairs[0][1])
    return Predictions(photo, tuple(part_map for part_map, _ in pairs), table.source)


def predictions(photos: Iterable[P], models: Sequence[Parse], labels: LabelSet) -> Iterator[Predictions[P]]:
    """Run every model once on every photo."""
    for photo in photos:
        yield Predictions(photo, tuple(model(photo.image) for model in models), labels)


def total_confusion(found: Iterable[Predictions]) -> Confusion:
    """Return the sum of the photos' confusion matrices of their first model.

    Raises:
        ValueError: there is no photo, or a photo cannot be counted.
    """
    (matrix,) = _total((one.confusion(),) for one in found)
    return matrix


def total_counts(found: Iterable[Predictions]) -> tuple[Confusion, BoundaryCounts]:
    """Return the sums of the photos' confusion matrices and of their counts at borders, of their first model.

    Raises:
        ValueError: there is no photo, or a photo cannot be counted.
    """
    matrix, borders = _total((one.confusion(), one.boundary()) for one in found)
    return matrix, borders


def _total(counts: Iterator[tuple[NDArray[np.int64], ...]]) -> list[NDArray[np.int64]]:
    totals = [count.copy() for count in next(counts, ())]
    if not totals:
        raise ValueError("no photos to evaluate on; check the data folder and split")
    for of_photo in counts:
        for total, count in zip(totals, of_photo, strict=True):
            total += count
    return totals
