"""What a recipe gains over its labels-only twin: the same schedule, photos and seeds, without a teacher.

Gains of distillation reproduce badly where they were measured against somebody else's baseline or from one seed. So no
gain is given without a twin, seeds are paired, and the spread stands beside every mean.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from m2fp_kd.evaluation.runs.gather import look_up

NOT_THE_SCHEDULE = ("hydra", "name", "run_dir", "ckpt_path", "logger", "seed", "distill", "teacher")
"""Settings in which a recipe may differ from its twin."""

LABELS_ONLY = "labels only"
NO_TWIN = "no twin"


def gains(reports: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per recipe, twins first, of the runs that were trained (not only compressed) and scored.

    Scores are the fp32 student's. Where several labels-only recipes were run under one schedule, the twin is the one
    with the best validation score, so that a recipe is held against the best that labels alone gave.

    Returns:
        Rows with the keys "data", "backbone", "student", "recipe", "seeds" (their number), "val mIoU %", "mIoU %" (of
        the photos in "scored on"), "gain" (mean and standard deviation of the differences at equal seeds, in points;
        "no twin" where there is none to compare with), "teacher minus twin", "of that gap" (the share of it that the
        recipe closes), "below the teacher" and "lost by INT8", all in points of mIoU. None is what is not known.
    """
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        known = look_up(report, "lineage.recipe.terms") is not None and _score(report, "student_fp32") is not None
        if look_up(report, "config.stage") == "train" and known:
            groups[_schedule(report)][recipe(report)].append(report)
    rows = []
    for recipes in groups.values():
        twins = [name for name, runs in recipes.items() if not _reads_teacher(runs[0])]
        twin = max(twins, key=lambda name: mean(_validation(run) for run in recipes[name]), default=None)
        for name in sorted(recipes, key=lambda name: (name != twin, name not in twins, name)):
            rows.append(_row(name, recipes[name], None if twin is None else recipes[twin], name == twin))
    return rows


def recipe(report: Mapping[str, Any]) -> str:
    """The terms of a run's objective with their weights, and the teacher that they read."""
    said = report["lineage"]["recipe"]
    terms = " + ".join(f"{weight:g} {name}" for name, weight in said["terms"].items())
    if not said["teacher_terms"]:
        return f"{LABELS_ONLY}: {terms}"
    return f"{terms} (T {said['temperature']:g}), {look_up(report, 'lineage.teacher.name')}"


def _row(
    name: str, runs: Sequence[Mapping[str, Any]], twins: Sequence[Mapping[str, Any]] | None, is_twin: bool
) -> dict[str, Any]:
    scores = _by_seed(runs, "student_fp32")
    teacher = next(iter(_by_seed(runs, "teacher").values()), None)
    quantised = _by_seed(runs, "student_int8")
    row = {
        "data": look_up(runs[0], "lineage.data.name"),
        "backbone": runs[0]["lineage"]["backbone"],
        "student": runs[0]["lineage"]["student"],
        "recipe": name,
        "seeds": len(scores),
        "val mIoU %": spread([100 * _validation(run) for run in runs]),
        "scored on": look_up(runs[0], "data.scored_on"),
        "mIoU %": spread([100 * score for score in scores.values()]),
        "gain": None,
        "teacher minus twin": None,
        "of that gap": None,
        "below the teacher": None if teacher is None else round(100 * (teacher - mean(scores.values())), 1),
        "lost by INT8": spread([100 * (scores[seed] - score) for seed, score in quantised.items()])
        if quantised
        else None,
    }
    if is_twin:
        return row
    known = _by_seed(twins or (), "student_fp32")
    paired = sorted(known.keys() & scores.keys())
    if not paired:
        return row | {"gain": NO_TWIN}
    differences = [100 * (scores[seed] - known[seed]) for seed in paired]
    row["gain"] = spread(differences, sign=True) + (
        "" if len(paired) == len(scores) else ", of the seeds that both have"
    )
    if teacher is not None:
        gap = 100 * (teacher - mean(known[seed] for seed in paired))
        row["teacher minus twin"] = round(gap, 1)
        row["of that gap"] = f"{mean(differences) / gap:.0%}" if gap > 0 else "the teacher is no better"
    return row


def spread(values: Sequence[float], sign: bool = False) -> str:
    """Mean and standard deviation of a sample as "1.23 ± 0.45"; "one seed" instead of a deviation of one value."""
    first = f"{mean(values):+.2f}" if sign else f"{mean(values):.2f}"
    return f"{first} ± {stdev(values):.2f}" if len(values) > 1 else f"{first} (one seed)"


def _schedule(report: Mapping[str, Any]) -> str:
    """What runs that may be compared have in common: photos, network and every setting but the recipe's."""
    kept = {key: value for key, value in report["config"].items() if key not in NOT_THE_SCHEDULE}
    return json.dumps([look_up(report, "lineage.data.sha256"), kept], sort_keys=True)


def _reads_teacher(report: Mapping[str, Any]) -> bool:
    return bool(report["lineage"]["recipe"]["teacher_terms"])


def _by_seed(reports: Sequence[Mapping[str, Any]], model: str) -> dict[int, float]:
    """Seed -> mIoU of a model, of the runs that have it."""
    scores = {report["lineage"]["seed"]: _score(report, model) for report in reports}
    return {seed: score for seed, score in scores.items() if score is not None}


def _score(report: Mapping[str, Any], model: str) -> float | None:
    # Pruning and quantisation-aware training leave the student as it was trained under a name of its own.
    if model == "student_fp32" and "student_original" in report["models"]:
        model = "student_original"
    return look_up(report["models"], f"{model}.miou")


def _validation(report: Mapping[str, Any]) -> float:
    return report["lineage"]["val/mIoU"]
