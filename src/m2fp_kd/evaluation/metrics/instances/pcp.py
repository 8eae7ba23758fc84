"""PCP: percentage of correctly parsed parts."""

import numpy as np

from m2fp_kd.evaluation.metrics.instances.part_ap import PersonClaims


def pcp(persons: PersonClaims, threshold: float) -> float:
    """PCP at a threshold, 0..1: mean share of right parts over the true persons; there has to be one."""
    total = 0.0
    for index in np.flatnonzero(persons.claims.hits(threshold)):
        right = np.count_nonzero(persons.part_iou[index][1:] > threshold)  # NaN is above nothing
        total += right / max(persons.parts[persons.claims.truths[index]], 1)
    return float(total / persons.claims.count)
