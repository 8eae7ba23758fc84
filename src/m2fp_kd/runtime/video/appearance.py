"""The appearance of a person: a colour histogram for each part."""

from dataclasses import dataclass

import numpy as np

from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import Person
from m2fp_kd.runtime.regions import Region

BINS = 8
"""Bins of each colour channel."""

SAMPLES = 4096
"""About the number of pixels of a person's box that are sampled."""

FEWEST = 8
"""Sampled pixels that a part needs."""


@dataclass(frozen=True)
class Appearance:
    """Colours of a person's parts.

    Attributes:
        shares: part index -> its share of the person's pixels, 0..1.
        histograms: part index -> float64 (3, 8), histogram of each colour channel, of sum 1.
    """

    shares: dict[int, float]
    histograms: dict[int, np.ndarray]

    @classmethod
    def of(cls, parsing: Parsing, person: Person | Region) -> "Appearance":
        """Return the appearance of one of the people of a photo."""
        left, top, right, bottom = person.box
        step = max(1, round(((right - left) * (bottom - top) / SAMPLES) ** 0.5))
        window = np.s_[top:bottom:step, left:right:step]
        inside = person.mask[window]
        parts = parsing.part_map[window][inside]
        colours = parsing.photo[window][inside]
        counts = np.bincount(parts)
        present = [int(part) for part in np.flatnonzero(counts >= FEWEST) if part]
        whole = max(1, sum(counts[part] for part in present))
        shares = {part: float(counts[part] / whole) for part in present}
        return cls(shares, {part: histogram(colours[parts == part]) for part in present})

    def similarity(self, other: "Appearance") -> float | None:
        """Return how alike the parts are that both show, 0..1; None where they share none.

        It is the mean over these parts and the channels of the histograms' Bhattacharyya coefficients; a part counts by
        the smaller of its shares.
        """
        common = [part for part in self.shares if part in other.shares]
        if not common:
            return None
        weights = [min(self.shares[part], other.shares[part]) for part in common]
        alike = [float(np.sqrt(self.histograms[part] * other.histograms[part]).sum() / 3) for part in common]
        return sum(weight * one for weight, one in zip(weights, alike, strict=True)) / sum(weights)

    def mixed(self, newer: "Appearance", weight: float) -> "Appearance":
        """Return the mean with a newer appearance, whose weight is 0..1; a part that only one shows is kept."""
        shares, histograms = self.shares | newer.shares, self.histograms | newer.histograms
        for part in self.shares.keys() & newer.shares.keys():
            shares[part] += (1 - weight) * (self.shares[part] - shares[part])
            histograms[part] = (1 - weight) * self.histograms[part] + weight * newer.histograms[part]
        return Appearance(shares, histograms)


def histogram(colours: np.ndarray) -> np.ndarray:
    """Return the histograms of colours, uint8 (N, 3): float64 (3, 8) of sum 1 each.

    A colour counts in the two bins that it lies between, so that a little noise changes little.
    """
    place = np.clip(colours * (BINS / 256) - 0.5, 0, BINS - 1)
    below = np.minimum(place.astype(np.intp), BINS - 2)
    above = place - below
    rows = []
    for channel in range(3):
        low = np.bincount(below[:, channel], 1 - above[:, channel], BINS)
        rows.append(low + np.bincount(below[:, channel] + 1, above[:, channel], BINS))
    return np.stack(rows) / len(colours)
