"""Gains over the twin, in closed form."""

from dataclasses import replace
from statistics import stdev
from typing import Any

import pytest

from m2fp_kd.evaluation.report.results import ModelResult, RunReport
from m2fp_kd.evaluation.runs.gains import gains, spread
from m2fp_kd.runtime.provenance import ObjectiveSummary
from tests.evaluation.reports import tiny_report

LABELS = ObjectiveSummary({"ce": 1.0}, (), 0.0, 4.0)
CLASSIC = ObjectiveSummary({"kl": 0.7, "ce": 0.3}, ("kl",), 0.7, 4.0)


def run(objective: ObjectiveSummary, seed: int, miou: float, **config: Any) -> RunReport:
    """A report of a teacher of 50 %, a student of `miou` and 0.2 points less in INT8."""
    report = tiny_report()
    models = {
        "teacher": ModelResult(miou=0.5),
        "student_fp32": ModelResult(miou=miou),
        "student_int8": ModelResult(miou=miou - 0.002),
    }
    lineage = replace(report.lineage, objective=objective, seed=seed, val_miou=miou + 0.01)
    settings = {"stage": "train", "lr": 0.1, "seed": seed, "distill": objective.to_dict(), "name": f"{seed}"} | config
    return replace(report, models=models, lineage=lineage, config=settings)


TWINS = [run(LABELS, seed, miou) for seed, miou in enumerate((0.40, 0.41, 0.42))]
DISTILLED = [run(CLASSIC, seed, miou) for seed, miou in enumerate((0.43, 0.43, 0.45))]


def test_gain_is_the_mean_difference_at_equal_seeds() -> None:
    twin, distilled = gains([*DISTILLED, *TWINS])
    assert twin["objective"] == "labels only: 1 ce" and twin["gain"] is None and twin["seeds"] == 3
    assert distilled["objective"] == "0.7 kl + 0.3 ce (T 4), M2FP"
    assert distilled["gain"] == f"+2.67 ± {stdev([3, 2, 3]):.2f}"
    assert distilled["mIoU %"] == "43.67 ± 1.15" and distilled["teacher minus twin"] == 9.0
    assert distilled["of that gap"] == "30%"  # 2.67 of 9
    assert distilled["below the teacher"] == 6.3 and distilled["lost by INT8"] == "0.20 ± 0.00"


def test_runs_are_paired_by_seed_despite_the_data_modules_seed() -> None:
    """A run's settings hold the seed of the data module too."""

    def seeded(recipe: dict[str, Any], seed: int, miou: float) -> dict[str, Any]:
        return run(recipe, seed, miou, data={"name": "tiny", "module": {"limit": None, "seed": seed}})

    runs = [seeded(LABELS, 0, 0.40), seeded(LABELS, 1, 0.41), seeded(CLASSIC, 0, 0.43), seeded(CLASSIC, 1, 0.43)]
    assert [row["gain"] for row in gains(runs)] == [None, f"+2.50 ± {stdev([3, 2]):.2f}"]


def test_a_gain_needs_a_twin_of_the_same_schedule() -> None:
    other_schedule = [run(LABELS, 0, 0.4, lr=0.2)]
    rows = {row["objective"].split(":")[0]: row for row in gains([*DISTILLED, *other_schedule])}
    assert rows["0.7 kl + 0.3 ce (T 4), M2FP"]["gain"] == "no twin"


def test_later_compression_of_the_student_does_not_matter() -> None:
    shrunk = [run(LABELS, 0, 0.4, compress={"name": "int8_static"})]
    rows = {row["objective"].split(":")[0]: row for row in gains([*DISTILLED, *shrunk])}
    assert rows["0.7 kl + 0.3 ce (T 4), M2FP"]["gain"].startswith("+")


def test_the_loss_by_int8_is_relative_to_the_exported_network() -> None:
    report = run(LABELS, 0, 0.42)
    pruned = replace(report, models=report.models | {"student_original": ModelResult(miou=0.37)})
    (row,) = gains([pruned])
    assert row["mIoU %"] == "37.00 (one seed)" and row["lost by INT8"] == "0.20 (one seed)"


def test_seeds_that_the_twin_lacks_do_not_count() -> None:
    assert gains([*TWINS[:1], *DISTILLED])[1]["gain"] == "+3.00 (one seed), over common seeds"


def test_the_twin_is_the_best_of_the_labels_only_objectives() -> None:
    better = replace(LABELS, terms={"ce": 1.0, "jaccard": 0.5})
    twin, weaker, distilled = gains([*TWINS, *[run(better, seed, 0.42) for seed in range(3)], *DISTILLED])
    assert (
        twin["objective"] == "labels only: 1 ce + 0.5 jaccard" and weaker["gain"] == f"-1.00 ± {stdev([-2, -1, 0]):.2f}"
    )
    assert distilled["gain"].startswith("+1.67")


def test_a_teacher_that_is_no_better_closes_no_gap() -> None:
    strong = [run(LABELS, 0, 0.55)]
    assert gains([*strong, run(CLASSIC, 0, 0.56)])[1]["of that gap"] == "the teacher is no better"


def test_runs_that_only_compress_are_left_out() -> None:
    assert gains([run(CLASSIC, 0, 0.4, stage="compress")]) == []


@pytest.mark.parametrize(("values", "text"), [([1.0], "1.00 (one seed)"), ([1.0, 3.0], "2.00 ± 1.41")])
def test_spread_is_the_sample_standard_deviation(values: list[float], text: str) -> None:
    assert spread(values) == text
