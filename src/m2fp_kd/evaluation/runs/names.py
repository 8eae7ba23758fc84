"""Short names for runs: what sets them apart, and nothing else."""

from collections.abc import Mapping
from typing import Any

from m2fp_kd.evaluation.runs.comparisons import Report, objective, reads_teacher
from m2fp_kd.evaluation.runs.gather import look_up


def short_names(reports: Mapping[str, Report]) -> dict[str, str]:
    """Run -> those of its facts that others have otherwise: photos, network, objective, teacher, compression, seed.

    A run that no fact sets apart, or that is the only one, is called by its own name.
    """
    facts = {run: _facts(report) for run, report in reports.items()}
    columns = zip(*facts.values(), strict=True)
    told = [index for index, known in enumerate(columns) if len(set(filter(None, known))) > 1]
    names = {run: ", ".join(known[index] for index in told if known[index]) for run, known in facts.items()}
    taken = list(names.values())
    return {run: name if name and taken.count(name) == 1 else run for run, name in names.items()}


def _facts(report: Report) -> tuple[str, ...]:
    """Empty where a fact is not known."""
    trained = look_up(report, "lineage.recipe.terms") is not None
    seed = look_up(report, "lineage.seed")
    return (
        _text(report, "lineage.data.name"),
        _text(report, "lineage.backbone"),
        _text(report, "lineage.student"),
        objective(report) if trained else "",
        _text(report, "lineage.teacher.name") if trained and reads_teacher(report) else "",
        _text(report, "config.compress.name"),
        "" if seed is None else f"seed {seed}",
    )


def _text(report: Report, path: str) -> str:
    value: Any = look_up(report, path)
    return "" if value is None else str(value)
