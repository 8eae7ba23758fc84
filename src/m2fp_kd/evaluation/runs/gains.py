"""Compute the gain of each objective over its labels-only twin: equal schedule, photos and seeds, without a teacher.

Gains of distillation are often not reproducible if they were measured against another project's baseline or with a
single seed. Therefore a gain is reported only with a twin, seeds are paired, and every mean comes with its spread.
"""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import Comparison, by_seed, comparisons, score, validation
from m2fp_kd.evaluation.runs.gather import look_up

NO_TWIN = "no twin"


def gains(reports: Sequence[RunReport]) -> list[dict[str, Any]]:
    """Return one row per objective, twins first, of the runs that were trained (not only compressed) and scored.

    Scores are of the fp32 student as trained. The loss by INT8 is relative to the exported fp32 file, which may have
    been pruned.

    Returns:
        Rows with the keys "data", "size" (longest side in pixels), "epochs", "backbone", "student", "objective",
        "seeds" (their number), "val mIoU %", "scored on", "mIoU %" (on those photos), "gain" (mean and standard
        deviation of the differences at equal seeds, in points; "no twin" if there is no twin), "teacher minus twin",
        "of that gap" (share of the gap that the objective closes), "below the teacher" and "lost by INT8", all in
        points of mIoU. Unknown values are None.
    """
    return [_row(name, compared) for compared in comparisons(reports) for name in compared.objectives]


def _row(name: str, compared: Comparison) -> dict[str, Any]:
    runs = compared.objectives[name]
    scores = _scores(runs)
    teacher = next(iter(_scores(runs, "teacher").values()), None)
    quantised, exported = _scores(runs, "student_int8"), _scores(runs, "student_fp32")
    row = {
        "data": runs[0].lineage.data.name,
        "size": look_up(runs[0].config, "data.size"),
        "epochs": look_up(runs[0].config, "trainer.max_epochs"),
        "backbone": runs[0].lineage.backbone,
        "student": runs[0].lineage.student,
        "objective": name,
        "seeds": len(scores),
        "val mIoU %": spread([100 * validation(run) for run in runs]),
        "scored on": runs[0].data.scored_on,
        "mIoU %": spread([100 * value for value in scores.values()]),
        "gain": None,
        "teacher minus twin": None,
        "of that gap": None,
        "below the teacher": None if teacher is None else round(100 * (teacher - mean(scores.values())), 1),
        "lost by INT8": spread([100 * (exported[seed] - value) for seed, value in quantised.items()])
        if quantised
        else None,
    }
    if name == compared.twin:
        return row
    twins = _scores(compared.objectives[compared.twin]) if compared.twin else {}
    paired = sorted(twins.keys() & scores.keys())
    if not paired:
        return row | {"gain": NO_TWIN}
    differences = [100 * (scores[seed] - twins[seed]) for seed in paired]
    row["gain"] = spread(differences, sign=True) + ("" if len(paired) == len(scores) else ", over common seeds")
    if teacher is not None:
        gap = 100 * (teacher - mean(twins[seed] for seed in paired))
        row["teacher minus twin"] = round(gap, 1)
        row["of that gap"] = f"{mean(differences) / gap:.0%}" if gap > 0 else "the teacher is no better"
    return row


def spread(values: Sequence[float], sign: bool = False) -> str:
    """Format mean and standard deviation of a sample as "1.23 ± 0.45", or "1.23 (one seed)" for a single value."""
    first = f"{mean(values):+.2f}" if sign else f"{mean(values):.2f}"
    return f"{first} ± {stdev(values):.2f}" if len(values) > 1 else f"{first} (one seed)"


def _scores(reports: Sequence[RunReport], model: str | None = None) -> dict[int, float]:
    """Return seed -> mIoU of a model, by default the student as trained, for the runs that have it."""
    found = {seed: _score(run, model) if model else score(run) for seed, run in by_seed(reports).items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _score(report: RunReport, model: str) -> float | None:
    return report.models[model].miou if model in report.models else None
