"""Which runs may be compared: the same schedule, photos and network, another recipe; and their labels-only twin."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport

NOT_THE_SCHEDULE = ("hydra", "name", "run_dir", "ckpt_path", "logger", "distill", "teacher")
"""Settings in which a recipe may differ from its twin. So may the seed, wherever it stands."""

LABELS_ONLY = "labels only"


@dataclass(frozen=True)
class Comparison:
    """Recipes that were run under one schedule.

    Attributes:
        recipes: name -> reports of its runs; the twin first, then the other labels-only recipes.
        twin: name of the labels-only recipe with the best validation score, so that a recipe is held against the best
            that labels alone gave; None where there is none.
    """

    recipes: dict[str, list[RunReport]]
    twin: str | None


def comparisons(reports: Sequence[RunReport]) -> list[Comparison]:
    """The runs that were trained (not only compressed) and scored, by schedule and recipe."""
    schedules: dict[str, dict[str, list[RunReport]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        known = report.lineage.objective is not None and score(report) is not None
        if report.config.get("stage") == "train" and known:
            schedules[_schedule(report)][recipe(report)].append(report)
    return [_comparison(recipes) for recipes in schedules.values()]


def _comparison(recipes: Mapping[str, list[RunReport]]) -> Comparison:
    twins = [name for name, runs in recipes.items() if not reads_teacher(runs[0])]
    twin = max(twins, key=lambda name: mean(validation(run) for run in recipes[name]), default=None)
    order = sorted(recipes, key=lambda name: (name != twin, name not in twins, name))
    return Comparison({name: recipes[name] for name in order}, twin)


def recipe(report: RunReport) -> str:
    """The objective of a run, and the teacher that it reads."""
    said = objective(report)
    return f"{said}, {report.lineage.teacher.name}" if reads_teacher(report) else said


def objective(report: RunReport) -> str:
    """The terms of a run's objective with their weights."""
    used = report.lineage.objective
    assert used is not None, "comparisons() leaves out runs without an objective"
    terms = " + ".join(f"{weight:g} {name}" for name, weight in used.terms.items())
    if not used.teacher_terms:
        return f"{LABELS_ONLY}: {terms}"
    annealed = f", annealed by {used.anneal:g}" if used.anneal else ""
    return f"{terms} (T {used.temperature:g}{annealed})"


def setting(report: RunReport) -> str:
    """A run's photos and network in a few words."""
    lineage = report.lineage
    return ", ".join(map(str, (lineage.data.name, lineage.backbone, lineage.student)))


def reads_teacher(report: RunReport) -> bool:
    """Whether a run's objective has a term that reads the teacher."""
    return bool(report.lineage.objective and report.lineage.objective.teacher_terms)


def validation(report: RunReport) -> float:
    """The best epoch's validation mIoU, 0..1: what to choose a recipe by."""
    return float("nan") if report.lineage.val_miou is None else report.lineage.val_miou


def as_trained(report: RunReport) -> str:
    """Key of the student before pruning and quantisation-aware training, in fp32."""
    return "student_original" if "student_original" in report.models else "student_fp32"


def score(report: RunReport) -> float | None:
    """mIoU of the student as trained, 0..1; None where it was not scored."""
    model = report.models.get(as_trained(report))
    return model.miou if model else None


def by_seed(reports: Sequence[RunReport]) -> dict[int, RunReport]:
    """Runs of one recipe by their seed."""
    return {seed: report for report in reports if (seed := report.lineage.seed) is not None}


def _schedule(report: RunReport) -> str:
    """What runs that may be compared have in common: photos, network and every setting but the recipe's.

    How a student was exported and quantised afterwards does not matter, as it is scored as trained; where it was
    trained on (pruning, QAT), the validation score is of what came of that.
    """
    trained_on = as_trained(report) == "student_original"
    kept = {
        key: value
        for key, value in report.config.items()
        if key not in NOT_THE_SCHEDULE and (key != "compress" or trained_on)
    }
    return json.dumps([report.lineage.data.sha256, _without_seeds(kept)], sort_keys=True)


def _without_seeds(node: Any) -> Any:
    """Settings without every seed; the data's module has one too."""
    if not isinstance(node, Mapping):
        return node
    return {key: _without_seeds(value) for key, value in node.items() if key != "seed"}
