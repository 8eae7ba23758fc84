import numpy as np

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.grid import grids
from m2fp_kd.runtime.provenance import ObjectiveSummary
from tests.evaluation.runs.test_gains import TWINS, run


def distilled(alpha: float, temperature: float, miou: float, seed: int = 0) -> RunReport:
    terms = {"kl": alpha, "ce": 1 - alpha}
    return run(ObjectiveSummary(terms, ("kl",), alpha, temperature), seed, miou)


def test_scores_are_averaged_over_seeds() -> None:
    runs = [distilled(0.7, 4, 0.40), distilled(0.7, 4, 0.44, seed=1), distilled(0.3, 4, 0.30), distilled(0.3, 1, 0.20)]
    (grid,) = grids([*runs, *TWINS])
    assert grid.title == "tiny, resnet18, fpn: kl + ce"
    assert (grid.alphas, grid.temperatures) == ([0.3, 0.7], [1, 4])
    np.testing.assert_allclose(grid.scores, [[0.21, 0.31], [np.nan, 0.43]])  # validation mIoU, 0.01 above the test mIoU
    assert grid.twin is not None and round(grid.twin, 6) == 0.42


def test_a_grid_needs_two_settings_with_a_teacher() -> None:
    assert grids([distilled(0.7, 4, 0.4), distilled(0.7, 4, 0.4, seed=1), *TWINS]) == []
    (without_twin,) = grids([distilled(0.7, 4, 0.4), distilled(0.7, 2, 0.4)])
    assert without_twin.twin is None and without_twin.scores.shape == (1, 2)
