"""Compute all instance metrics of a model over a set of photos."""

from statistics import fmean
from typing import Literal

from numpy.typing import NDArray

from m2fp_kd.evaluation.metrics.instances.found import Found
from m2fp_kd.evaluation.metrics.instances.part_ap import PersonClaims, part_ap
from m2fp_kd.evaluation.metrics.instances.pcp import pcp
from m2fp_kd.evaluation.metrics.instances.region_ap import RegionClaims, region_ap, region_ap_m2fp
from m2fp_kd.evaluation.metrics.instances.truth import Truth

THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))
"""0.1, 0.2, ... 0.9; APvol and APr are means over them."""

Variant = Literal["papers", "m2fp"]


class InstanceMetrics:
    """APp, APvol, PCP and APr over photos that are added one by one; the package's docstring defines them.

    Args:
        num_parts: P, background included.
        ignore_index: value of the pixels whose part is unknown.
        variant: "papers", or "m2fp" to reproduce M2FP's evaluator.

    Raises:
        ValueError: the variant is unknown.
    """

    def __init__(self, num_parts: int, ignore_index: int = 255, variant: Variant = "papers") -> None:
        if variant not in ("papers", "m2fp"):
            raise ValueError(f"variant '{variant}' is not one of papers, m2fp")
        self.num_parts = num_parts
        self.ignore_index = ignore_index
        self.variant = variant
        self._persons = PersonClaims()
        self._regions = RegionClaims(num_parts)

    @property
    def regions(self) -> int:
        """Number of true regions (parts of persons) added so far; `compute` needs at least one."""
        return self._regions.count

    def add(self, found: Found, parts: NDArray, humans: NDArray) -> None:
        """Add a photo.

        Args:
            found: predictions for the photo.
            parts: integer (H, W), true part map.
            humans: integer (H, W), true person ids, 0 outside persons.

        Raises:
            ValueError: the maps differ in size, or a part is outside the label set.
        """
        truth = Truth.of(parts, humans, self.num_parts, self.ignore_index, bare=self.variant == "m2fp")
        self._persons.add(found.persons, truth)
        self._regions.add(found.regions, truth)

    def compute(self) -> dict[str, float]:
        """Return APp50, APvol, PCP50, APr50, APr60, APr70 and APr, each in 0..1 (but see the package for "m2fp").

        Raises:
            ValueError: no added photo has a person with a known part.
        """
        if not self.regions:
            raise ValueError("no photo has a person with a known part; are these the right person ids?")
        persons, regions = self._persons, self._regions
        apr = region_ap if self.variant == "papers" else region_ap_m2fp
        return {
            "APp50": part_ap(persons, 0.5),
            "APvol": fmean(part_ap(persons, threshold) for threshold in THRESHOLDS),
            "PCP50": pcp(persons, 0.5),
            "APr50": apr(regions, 0.5),
            "APr60": apr(regions, 0.6),
            "APr70": apr(regions, 0.7),
            "APr": fmean(apr(regions, threshold) for threshold in THRESHOLDS),
        }
