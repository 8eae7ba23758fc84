"""Collect validation scores over temperature and alpha, for a heat map."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import comparisons, setting, validation


@dataclass(frozen=True)
class Grid:
    """Objectives with the same schedule and terms.

    Attributes:
        title: names of the data, network and terms.
        temperatures: T temperatures in ascending order.
        alphas: A alphas in ascending order.
        scores: float (A, T), validation mIoU averaged over seeds, 0..1; NaN for combinations without a run.
        twin: validation mIoU of the labels-only twin; None if there is none.
    """

    title: str
    temperatures: list[float]
    alphas: list[float]
    scores: NDArray[np.float64]
    twin: float | None


def grids(reports: Sequence[RunReport]) -> list[Grid]:
    """Return one grid per schedule and set of terms for objectives with a teacher and at least two settings."""
    found = []
    for compared in comparisons(reports):
        twins = compared.objectives[compared.twin] if compared.twin else []
        twin = mean(map(validation, twins)) if twins else None
        terms: dict[str, list[RunReport]] = defaultdict(list)
        for runs in compared.objectives.values():
            objective = runs[0].lineage.objective
            if objective and objective.teacher_terms:
                terms[" + ".join(objective.terms)] += runs
        found += [_grid(name, runs, twin) for name, runs in terms.items()]
    return [grid for grid in found if grid.scores.size > 1]


def _grid(terms: str, runs: Sequence[RunReport], twin: float | None) -> Grid:
    cells: dict[tuple[float, float], list[float]] = defaultdict(list)
    for run in runs:
        objective = run.lineage.objective
        if objective and objective.alpha is not None and objective.temperature is not None:
            cells[objective.alpha, objective.temperature].append(validation(run))
    alphas, temperatures = (sorted(set(values)) for values in zip(*cells, strict=True))
    scores = np.array([[mean(cells.get((alpha, t), [np.nan])) for t in temperatures] for alpha in alphas])
    return Grid(f"{setting(runs[0])}: {terms}", temperatures, alphas, scores, twin)
