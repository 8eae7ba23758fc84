"""Quality of the borders of parts: boundary IoU and boundary F, from counts over a whole data set.

IoU is nearly blind to the borders of large parts. Boundary IoU compares only the pixels of a part that are close to its
contour (Cheng et al., "Boundary IoU", https://arxiv.org/abs/2103.16562); boundary F compares the contours themselves
(Perazzi et al., DAVIS, https://graphics.ethz.ch/~perazzif/davis). "Close" is a share of the photo's diagonal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import KDTree

from m2fp_kd.evaluation.metrics.miou import mean_of_present

DISTANCE = 0.01
"""Distance within which pixels are close, as a share of the photo's diagonal. The paper of boundary IoU takes 0.02."""

BoundaryCounts = NDArray[np.int64]
"""Pixels of every part, ``(7, P)``: the fields of `_Of`. BoundaryCounts of several photos may be added."""


class _Of(NamedTuple):
    """Rows of `BoundaryCounts`: band pixels of both maps, truth and prediction; contour pixels, and those matched."""

    band: NDArray[np.int64]
    band_truth: NDArray[np.int64]
    band_prediction: NDArray[np.int64]
    contour_truth: NDArray[np.int64]
    found: NDArray[np.int64]
    contour_prediction: NDArray[np.int64]
    right: NDArray[np.int64]


ROWS = len(_Of._fields)


@dataclass(frozen=True)
class Boundary:
    """Quality of the borders over a data set, 0..1.

    Attributes:
        iou: mean boundary IoU over the parts that occur in truth or prediction; None without such.
        f: mean boundary F over the parts that have a contour in truth or prediction; None without such.
        iou_of: part -> boundary IoU; None for a part in neither truth nor prediction.
        f_of: part -> boundary F; None for a part without a contour in both.
    """

    iou: float | None
    f: float | None
    iou_of: dict[str, float | None]
    f_of: dict[str, float | None]

    @classmethod
    def of(cls, counts: BoundaryCounts, parts: Sequence[str]) -> Self:
        """Return the scores of the counts of a data set.

        Args:
            counts: ``(7, P)``.
            parts: names of the P parts.
        """
        iou, f = boundary_iou(counts), boundary_f(counts)
        iou_of, f_of = (dict(zip(parts, map(_known, values.tolist()), strict=True)) for values in (iou, f))
        return cls(_known(mean_boundary_iou(counts)), _known(mean_of_present(f)), iou_of, f_of)


def boundary_counts(
    truth: NDArray, prediction: NDArray, num_parts: int, ignore_index: int = 255, distance: float = DISTANCE
) -> BoundaryCounts:
    """Count the pixels at the borders of every part of a photo.

    Neither ignored pixels nor borders to them count. The frame of the photo is a border for boundary IoU, as in its
    authors' code, and none for boundary F.

    Args:
        truth: part map ``(H, W)``, values ``0..num_parts-1`` or ``ignore_index``.
        prediction: part map of the same shape, values ``0..num_parts-1``.
        num_parts: P, background included.
        ignore_index: value of the truth pixels to leave out.
        distance: see `DISTANCE`; at least one pixel.
    """
    ignored = truth == ignore_index
    pixels = max(1, round(distance * float(np.hypot(*truth.shape))))
    bands = [_band(part_map, ignored, pixels) for part_map in (truth, prediction)]
    both = bands[0] & bands[1] & (truth == prediction)

    def count(part_map: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(part_map[mask], minlength=num_parts)

    band = [count(truth, both), count(truth, bands[0]), count(prediction, bands[1])]
    return np.array([*band, *_contour_counts(truth, prediction, ignored, num_parts, pixels)])


def boundary_iou(counts: BoundaryCounts) -> NDArray[np.float64]:
    """Return the boundary IoU of every part, ``(P,)`` in 0..1; NaN for a part in neither truth nor prediction."""
    of = _Of(*counts)
    return _ratio(of.band, of.band_truth + of.band_prediction - of.band)


def boundary_f(counts: BoundaryCounts) -> NDArray[np.float64]:
    """Return the boundary F of every part, ``(P,)`` in 0..1; NaN for a part without a contour in both maps.

    It is the harmonic mean of precision, the share of the predicted contour that is close to the true one, and recall,
    the share of the true contour that is close to the predicted one.
    """
    of = _Of(*counts)
    precision, recall = _ratio(of.right, of.contour_prediction), _ratio(of.found, of.contour_truth)
    f = _ratio(2 * precision * recall, precision + recall)
    # A contour in only one of the maps is missed or invented as a whole.
    return np.where((of.contour_prediction + of.contour_truth > 0) & np.isnan(f), 0, f)


def mean_boundary_iou(counts: BoundaryCounts, parts: Sequence[int] | None = None) -> float:
    """Return the mean boundary IoU over the parts that occur in truth or prediction; NaN without such.

    Args:
        counts: ``(7, P)``.
        parts: parts to average over; None for all.
    """
    return mean_of_present(boundary_iou(counts) if parts is None else boundary_iou(counts)[list(parts)])


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _ratio(part: NDArray, whole: NDArray) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _band(part_map: NDArray, ignored: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return the pixels that have another part, or the photo's frame, within a number of pixels along both axes."""
    size = 2 * pixels + 1
    band = maximum_filter(np.where(ignored, 0, part_map), size) != part_map
    band |= minimum_filter(np.where(ignored, 255, part_map), size) != part_map
    band[:pixels] = band[-pixels:] = band[:, :pixels] = band[:, -pixels:] = True
    return band & ~ignored


def _contour_counts(
    truth: NDArray, prediction: NDArray, ignored: NDArray[np.bool_], num_parts: int, pixels: int
) -> BoundaryCounts:
    """Return contour pixels of the truth and those close to the prediction's, then the same the other way round."""
    contours = [_contour(part_map, ignored) for part_map in (truth, prediction)]
    places = [np.argwhere(contour) for contour in contours]
    parts = [part_map[contour] for part_map, contour in zip((truth, prediction), contours, strict=True)]
    counts = np.zeros((4, num_parts), np.int64)
    for part in np.union1d(*parts):
        one, other = (place[of == part] for place, of in zip(places, parts, strict=True))
        counts[:, part] = len(one), _close(one, other, pixels), len(other), _close(other, one, pixels)
    return counts


def _contour(part_map: NDArray, ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels that have a neighbour of another part above, below, left or right."""
    contour = np.zeros(part_map.shape, bool)
    for first, second in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        border = (part_map[first] != part_map[second]) & ~ignored[first] & ~ignored[second]
        contour[first] |= border
        contour[second] |= border
    return contour


def _close(points: NDArray, others: NDArray, pixels: int) -> int:
    """Return how many points (N, 2) have one of the others (M, 2) within a Euclidean distance."""
    if not len(points) or not len(others):
        return 0
    distance, _ = KDTree(others).query(points, distance_upper_bound=pixels + 1e-6)
    return int(np.isfinite(distance).sum())
