"""PCP: percentage of correctly parsed parts."""

import numpy as np

from m2fp_kd.evaluation.metrics.instances.part_ap import PersonClaims


def pcp(persons: PersonClaims, threshold: float) -> float:
    """Return PCP at a threshold, 0..1: mean share of correct parts over the true persons, of which one is required."""
    total = 0.0
    for index in np.flatnonzero(persons.claims.hits(threshold)):
        correct = np.count_nonzero(persons.part_iou[index][1:] > threshold)  # comparisons with NaN are False
        total += correct / max(persons.parts[persons.claims.truths[index]], 1)
    return float(total / persons.claims.count)
