"""Group runs that can be compared: equal schedule, photos and network, but different objectives."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport

NOT_THE_SCHEDULE = ("hydra", "name", "run_dir", "ckpt_path", "logger", "distill", "teacher")
"""Settings in which a run may differ from its twin, besides every seed."""

LABELS_ONLY = "labels only"


@dataclass(frozen=True)
class Comparison:
    """Objectives that were run under one schedule.

    Attributes:
        objectives: name of an objective -> reports of its runs; the twin first, then other labels-only objectives.
        twin: name of the labels-only objective with the best validation score, the baseline of the others; None if
            there is none.
    """

    objectives: dict[str, list[RunReport]]
    twin: str | None


def comparisons(reports: Sequence[RunReport]) -> list[Comparison]:
    """Group the runs that were trained (not only compressed) and scored by schedule and objective."""
    schedules: dict[str, dict[str, list[RunReport]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        scored = report.lineage.objective is not None and score(report) is not None
        if report.config.get("stage") == "train" and scored:
            schedules[_schedule(report)][objective_name(report)].append(report)
    return [_comparison(objectives) for objectives in schedules.values()]


def _comparison(objectives: Mapping[str, list[RunReport]]) -> Comparison:
    twins = [name for name, runs in objectives.items() if not reads_teacher(runs[0])]
    twin = max(twins, key=lambda name: mean(validation(run) for run in objectives[name]), default=None)
    order = sorted(objectives, key=lambda name: (name != twin, name not in twins, name))
    return Comparison({name: objectives[name] for name in order}, twin)


def objective_name(report: RunReport) -> str:
    """Return the terms of a run's objective, and the name of the teacher if the objective uses one."""
    terms = objective_terms(report)
    return f"{terms}, {report.lineage.teacher.name}" if reads_teacher(report) else terms


def objective_terms(report: RunReport) -> str:
    """Return the terms of a run's objective with their weights."""
    used = report.lineage.objective
    assert used is not None, "comparisons() leaves out runs without an objective"
    terms = " + ".join(f"{weight:g} {name}" for name, weight in used.terms.items())
    if not used.teacher_terms:
        return f"{LABELS_ONLY}: {terms}"
    annealed = f", annealed by {used.anneal:g}" if used.anneal else ""
    return f"{terms} (T {used.temperature:g}{annealed})"


def setting(report: RunReport) -> str:
    """Return the names of a run's data, backbone and student."""
    lineage = report.lineage
    return ", ".join(map(str, (lineage.data.name, lineage.backbone, lineage.student)))


def reads_teacher(report: RunReport) -> bool:
    """Return whether a run's objective has a term that uses the teacher."""
    return bool(report.lineage.objective and report.lineage.objective.teacher_terms)


def validation(report: RunReport) -> float:
    """Return the best epoch's validation mIoU, 0..1, by which to choose an objective; NaN if unknown."""
    return float("nan") if report.lineage.val_miou is None else report.lineage.val_miou


def as_trained(report: RunReport) -> str:
    """Return the key of the fp32 student before pruning and quantisation-aware training."""
    return "student_original" if "student_original" in report.models else "student_fp32"


def score(report: RunReport) -> float | None:
    """Return the mIoU of the student as trained, 0..1; None if it was not scored."""
    model = report.models.get(as_trained(report))
    return model.miou if model else None


def by_seed(reports: Sequence[RunReport]) -> dict[int, RunReport]:
    """Return the runs of one objective by seed."""
    return {seed: report for report in reports if (seed := report.lineage.seed) is not None}


def _schedule(report: RunReport) -> str:
    """Return a key that runs share if they can be compared: photos, network and all settings but the objective's.

    Export and quantisation do not matter, because the student is scored as trained. Further training (pruning, QAT)
    does, because the validation score is of its result.
    """
    trained_on = as_trained(report) == "student_original"
    kept = {
        key: value
        for key, value in report.config.items()
        if key not in NOT_THE_SCHEDULE and (key != "compress" or trained_on)
    }
    return json.dumps([report.lineage.data.sha256, _without_seeds(kept)], sort_keys=True)


def _without_seeds(node: Any) -> Any:
    """Remove every seed from the settings; the data module has one too."""
    if not isinstance(node, Mapping):
        return node
    return {key: _without_seeds(value) for key, value in node.items() if key != "seed"}
