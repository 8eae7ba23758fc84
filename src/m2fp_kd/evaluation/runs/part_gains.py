"""What recipes gain over their labels-only twin, part by part, to be drawn as a heat map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import (
    Comparison,
    as_trained,
    by_seed,
    comparisons,
    objective,
    setting,
)


@dataclass(frozen=True)
class PartGains:
    """Recipes of one schedule.

    Attributes:
        title: photos and network.
        parts: P names, rare ones first.
        recipes: R objectives, with their teachers where these differ.
        gains: float (P, R), mean difference of the fp32 student's IoU at equal seeds, in points; NaN where no pair of
            runs saw the part.
    """

    title: str
    parts: list[str]
    recipes: list[str]
    gains: NDArray[np.float64]


def part_gains(reports: Sequence[RunReport]) -> list[PartGains]:
    """One per schedule with a twin and a recipe that has a seed in common with it."""
    found = [_part_gains(compared) for compared in comparisons(reports) if compared.twin is not None]
    return [one for one in found if one.recipes]


def _part_gains(compared: Comparison) -> PartGains:
    recipes, twins = dict(compared.recipes), by_seed(compared.recipes[str(compared.twin)])
    report = recipes.pop(str(compared.twin))[0]
    shares = report.shares
    parts = sorted(report.labels.parts, key=lambda part: shares.get(part, 0.0))
    paired = {name: by_seed(runs) for name, runs in recipes.items() if by_seed(runs).keys() & twins.keys()}
    columns = {name: _gains(runs, twins, parts) for name, runs in paired.items()}
    objectives = [objective(recipes[name][0]) for name in columns]
    names = objectives if len(set(objectives)) == len(objectives) else list(columns)
    return PartGains(setting(report), parts, names, np.array(list(columns.values())).T)


def _gains(runs: dict[int, RunReport], twins: dict[int, RunReport], parts: Sequence[str]) -> list[float]:
    """The mean difference of every part, in points."""
    pairs = [(runs[seed], twins[seed]) for seed in runs.keys() & twins.keys()]
    differences = [[100 * (_iou(run, part) - _iou(twin, part)) for run, twin in pairs] for part in parts]
    seen = [[value for value in values if not np.isnan(value)] for values in differences]
    return [float(np.mean(values)) if values else np.nan for values in seen]


def _iou(report: RunReport, part: str) -> float:
    value = report.models[as_trained(report)].iou.get(part)
    return np.nan if value is None else value
