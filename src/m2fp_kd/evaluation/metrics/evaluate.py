"""Score models that turn a photo into a part map."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.metrics import miou as metric
from m2fp_kd.evaluation.metrics.boundary import Boundary, BoundaryCounts
from m2fp_kd.evaluation.metrics.instances import InstanceMetrics, found_in
from m2fp_kd.evaluation.metrics.predictions import (
    LabelledPhoto,
    Parse,
    Predictions,
    in_source,
    predictions,
    total_confusion,
    total_counts,
)
from m2fp_kd.evaluation.metrics.reliability import Reliability
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.runtime.parsing import Parsing


class PeopledPhoto(LabelledPhoto, Protocol):
    """A labelled photo that may have person ids: ``persons`` is int32 ``(H, W)``, 0 outside persons, or None."""

    @property
    def persons(self) -> NDArray[np.int32] | None: ...


P = TypeVar("P", bound=LabelledPhoto)
Q = TypeVar("Q", bound=PeopledPhoto)


@dataclass(frozen=True)
class Scores:
    """Scores over a whole data set; IoU and accuracy in 0..1.

    Attributes:
        miou: mean over the parts present in truth or prediction.
        miou_absent_zero: mean as M2FP's evaluator computes it, with absent parts counted as 0.
        iou: part name -> IoU, None for a part in neither truth nor prediction.
        pixel_accuracy: share of correct pixels.
        confusion: int64 (P, P), row = truth.
        boundary: quality of the borders of parts, None if it was not computed.
        reliability: reliability of the probabilities, None if it was not computed.
        instances: values of `InstanceMetrics` by name; empty if persons were not scored.
        unscored: reason why the persons of a model that separates them were not scored; else None.
    """

    miou: float
    miou_absent_zero: float
    iou: dict[str, float | None]
    pixel_accuracy: float
    confusion: metric.Confusion
    boundary: Boundary | None = None
    reliability: Reliability | None = None
    instances: dict[str, float] = field(default_factory=dict)
    unscored: str | None = None

    def shares(self, labels: LabelSet) -> dict[str, float]:
        """Return each part's share of the true pixels, 0..1."""
        counts = self.confusion.sum(axis=1)
        return dict(zip(labels.parts, (counts / counts.sum()).tolist(), strict=True))

    def absent(self, labels: LabelSet) -> list[str]:
        """Return the parts that no true pixel has; many of them suggest labels of another label set."""
        return [labels.parts[part] for part in np.flatnonzero(self.confusion.sum(axis=1) == 0)]


def scores_of(matrix: metric.Confusion, labels: LabelSet, borders: BoundaryCounts | None = None) -> Scores:
    """Return all scores of a confusion matrix ``(P, P)`` and, if given, of the counts at borders ``(7, P)``."""
    per_part = zip(labels.parts, metric.iou(matrix).tolist(), strict=True)
    return Scores(
        miou=metric.miou(matrix),
        miou_absent_zero=metric.miou_absent_zero(matrix),
        iou={part: None if math.isnan(value) else value for part, value in per_part},
        pixel_accuracy=metric.pixel_accuracy(matrix),
        confusion=matrix,
        boundary=None if borders is None else Boundary.of(borders, labels.parts),
    )


def evaluate(parse: Parse, photos: Iterable[LabelledPhoto], labels: LabelSet) -> Scores:
    """Predict every photo's part map and score it against its label at the label's own size.

    Raises:
        ValueError: no photos; a photo without a label; a part map of another size or outside the label set.
    """
    return _scores(predictions(photos, [parse], labels), labels)


def evaluate_in_source(parse: Callable[[P], NDArray[np.uint8]], photos: Iterable[P], table: PartSets) -> Scores:
    """Score part maps against photos with other labels than the student's, in these labels; see `PartSets.in_source`.

    The mean is over the labels that parts count as (`PartSets.scored`), and only they have an IoU.

    Args:
        parse: returns a photo's part map in the student's parts, uint8 ``(H, W)``, at the photo's own size.
        photos: photos with labels of the source.
        table: table of the source.

    Raises:
        ValueError: no photos, or a photo without a label or of another size than its part map.
    """

    def predict() -> Iterator[Predictions]:
        for photo in photos:
            if photo.parts is None:
                raise ValueError(f"{photo.name}: has no label; evaluate on labelled photos only")
            yield in_source(Predictions(photo, (parse(photo),), table.student), photo.parts, table)

    scores = scores_of(total_confusion(predict()), table.source)
    iou = {part: scores.iou[part] for part in (table.source.parts[label] for label in table.scored)}
    return replace(scores, miou=metric.miou(scores.confusion, table.scored), iou=iou)


def evaluate_parsings(parse: Callable[[Q], Parsing], photos: Iterable[Q], labels: LabelSet) -> Scores:
    """Score part maps as `evaluate` does, and persons where the model separates them and all photos have person ids.

    Raises:
        ValueError: as `evaluate`.
    """
    metrics = InstanceMetrics(labels.num_parts, labels.ignore_index)
    separated, with_ids = True, True

    def predict() -> Iterator[Predictions[Q]]:
        nonlocal separated, with_ids
        for photo in photos:
            parsing = parse(photo)
            separated &= parsing.people_kind == "persons"
            with_ids &= photo.persons is not None
            if separated and photo.parts is not None and photo.persons is not None:
                metrics.add(found_in(parsing), photo.parts, photo.persons)
            yield Predictions(photo, (parsing.part_map,), labels)

    scores = _scores(predict(), labels)
    if not separated:
        return scores
    if not with_ids:
        return replace(scores, unscored="the photos have no person ids")
    if not metrics.regions:
        return replace(scores, unscored="the photos show nobody")
    return replace(scores, instances=metrics.compute())


def _scores(found: Iterable[Predictions], labels: LabelSet) -> Scores:
    matrix, borders = total_counts(found)
    return scores_of(matrix, labels, borders)
