"""APr: average precision of regions, where a region is one part of one person."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from m2fp_kd.evaluation.metrics.instances.average_precision import average_precision
from m2fp_kd.evaluation.metrics.instances.found import FoundRegion
from m2fp_kd.evaluation.metrics.instances.matching import Claims
from m2fp_kd.evaluation.metrics.instances.truth import UNKNOWN, Truth


class RegionClaims:
    """Claims of predicted regions on true regions, part by part.

    Args:
        num_parts: P, background included.
    """

    def __init__(self, num_parts: int) -> None:
        self.of_part = [Claims() for _ in range(num_parts)]

    @property
    def count(self) -> int:
        """Number of true regions."""
        return sum(claims.count for claims in self.of_part)

    def add(self, regions: Sequence[FoundRegion], truth: Truth) -> None:
        """Add a photo; skip regions that cover only unknown pixels.

        Raises:
            ValueError: a region differs in size from the truth, or its part is background or not in the label set.
        """
        for region in regions:
            if region.mask.shape != truth.codes.shape:
                raise ValueError(f"region {region.mask.shape} and truth {truth.codes.shape} differ in size")
            if not 0 < region.part < len(self.of_part):
                raise ValueError(f"region of part {region.part}, but a person's parts are 1..{len(self.of_part) - 1}")
        known = [region for region in regions if (truth.codes[region.mask] != UNKNOWN).any()]
        for part, claims in enumerate(self.of_part[1:], start=1):
            alike = [region for region in known if region.part == part]
            overlaps = np.zeros((len(alike), np.count_nonzero(truth.areas[:, part])))
            for row, region in zip(overlaps, alike, strict=True):
                row[:] = truth.region_iou(region.mask, part)
            claims.add([region.score for region in alike], overlaps)


def region_ap(regions: RegionClaims, threshold: float) -> float:
    """Return APr at a threshold, 0..1: AP averaged over the parts that true persons have; at least one is required."""
    parts = [claims for claims in regions.of_part[1:] if claims.count]
    return fmean(average_precision(claims.scores, claims.hits(threshold), claims.count) for claims in parts)


def region_ap_m2fp(regions: RegionClaims, threshold: float) -> float:
    """Return APr as M2FP's evaluator does: a region may be claimed repeatedly, and an absent part counts as 0."""
    parts = [claims for claims in regions.of_part[1:] if claims.count or not claims.scores]
    return fmean(average_precision(claims.scores, claims.above(threshold), max(claims.count, 1)) for claims in parts)
