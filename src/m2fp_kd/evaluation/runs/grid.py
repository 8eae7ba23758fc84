"""Validation scores over temperature and alpha, to be drawn as a heat map."""

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
    """Recipes of one schedule and of the same terms.

    Attributes:
        title: photos, network and terms.
        temperatures: rising, T of them.
        alphas: rising, A of them.
        scores: float (A, T), mean validation mIoU over the seeds, 0..1; NaN where nothing was run.
        twin: that of the labels-only twin; None where there is none.
    """

    title: str
    temperatures: list[float]
    alphas: list[float]
    scores: NDArray[np.float64]
    twin: float | None


def grids(reports: Sequence[RunReport]) -> list[Grid]:
    """One grid per schedule and set of terms, of the recipes that read a teacher; two settings at least."""
    found = []
    for compared in comparisons(reports):
        twins = compared.recipes[compared.twin] if compared.twin else []
        twin = mean(map(validation, twins)) if twins else None
        terms: dict[str, list[RunReport]] = defaultdict(list)
        for runs in compared.recipes.values():
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
