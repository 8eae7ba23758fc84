"""Compute the gains of objectives over their labels-only twin for each part, for a heat map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import Comparison, as_trained, by_seed, comparisons, objective_terms, setting


@dataclass(frozen=True)
class PartGains:
    """Gains of the objectives of one schedule.

    Attributes:
        title: names of the data and network.
        parts: names of the P parts, rare ones first.
        objectives: names of the R objectives, with their teachers if these differ.
        gains: float (P, R), mean difference of the fp32 student's IoU at equal seeds, in points; NaN if the part is
            absent from every pair of runs.
    """

    title: str
    parts: list[str]
    objectives: list[str]
    gains: NDArray[np.float64]


def part_gains(reports: Sequence[RunReport]) -> list[PartGains]:
    """Return the gains for every schedule that has a twin and an objective with a common seed."""
    found = [_part_gains(compared) for compared in comparisons(reports) if compared.twin is not None]
    return [one for one in found if one.objectives]


def _part_gains(compared: Comparison) -> PartGains:
    objectives, twins = dict(compared.objectives), by_seed(compared.objectives[str(compared.twin)])
    report = objectives.pop(str(compared.twin))[0]
    shares = report.shares
    parts = sorted(report.labels.parts, key=lambda part: shares.get(part, 0.0))
    paired = {name: by_seed(runs) for name, runs in objectives.items() if by_seed(runs).keys() & twins.keys()}
    columns = {name: _gains(runs, twins, parts) for name, runs in paired.items()}
    terms = [objective_terms(objectives[name][0]) for name in columns]
    names = terms if len(set(terms)) == len(terms) else list(columns)
    return PartGains(setting(report), parts, names, np.array(list(columns.values())).T)


def _gains(runs: dict[int, RunReport], twins: dict[int, RunReport], parts: Sequence[str]) -> list[float]:
    """Return the mean difference of every part, in points."""
    pairs = [(runs[seed], twins[seed]) for seed in runs.keys() & twins.keys()]
    differences = [[100 * (_iou(run, part) - _iou(twin, part)) for run, twin in pairs] for part in parts]
    present = [[value for value in values if not np.isnan(value)] for values in differences]
    return [float(np.mean(values)) if values else np.nan for values in present]


def _iou(report: RunReport, part: str) -> float:
    value = report.models[as_trained(report)].iou.get(part)
    return np.nan if value is None else value
