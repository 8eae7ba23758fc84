"""Short names for runs: what sets them apart, and nothing else."""

from collections.abc import Mapping

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import objective, reads_teacher
from m2fp_kd.evaluation.runs.gather import look_up


def short_names(reports: Mapping[str, RunReport]) -> dict[str, str]:
    """Run -> those of its facts that others have otherwise: photos, network, objective, teacher, compression, seed.

    A run that no fact sets apart, or that is the only one, is called by its own name.
    """
    facts = {run: _facts(report) for run, report in reports.items()}
    columns = zip(*facts.values(), strict=True)
    told = [index for index, known in enumerate(columns) if len(set(filter(None, known))) > 1]
    names = {run: ", ".join(known[index] for index in told if known[index]) for run, known in facts.items()}
    taken = list(names.values())
    return {run: name if name and taken.count(name) == 1 else run for run, name in names.items()}


def _facts(report: RunReport) -> tuple[str, ...]:
    """Empty where a fact is not known."""
    lineage = report.lineage
    return (
        lineage.data.name or "",
        lineage.backbone or "",
        lineage.student or "",
        objective(report) if lineage.objective else "",
        lineage.teacher.name or "" if reads_teacher(report) else "",
        str(look_up(report.config, "compress.name") or ""),
        "" if lineage.seed is None else f"seed {lineage.seed}",
    )
