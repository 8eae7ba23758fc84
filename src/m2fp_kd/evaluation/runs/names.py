"""Give runs short names that hold only their differences."""

from collections.abc import Mapping

from m2fp_kd.evaluation.report.results import RunReport
from m2fp_kd.evaluation.runs.comparisons import objective_terms, reads_teacher
from m2fp_kd.evaluation.runs.gather import look_up


def short_names(reports: Mapping[str, RunReport]) -> dict[str, str]:
    """Return run -> its properties that differ between runs: data, network, objective, teacher, compression, seed.

    A run without distinguishing properties, or a single run, keeps its own name.
    """
    properties = {run: _properties(report) for run, report in reports.items()}
    columns = zip(*properties.values(), strict=True)
    differing = [index for index, values in enumerate(columns) if len(set(filter(None, values))) > 1]
    names = {run: ", ".join(own[index] for index in differing if own[index]) for run, own in properties.items()}
    taken = list(names.values())
    return {run: name if name and taken.count(name) == 1 else run for run, name in names.items()}


def _properties(report: RunReport) -> tuple[str, ...]:
    """Return the properties of a run as texts, "" for unknown ones."""
    lineage = report.lineage
    return (
        lineage.data.name or "",
        lineage.backbone or "",
        lineage.student or "",
        objective_terms(report) if lineage.objective else "",
        lineage.teacher.name or "" if reads_teacher(report) else "",
        str(look_up(report.config, "compress.name") or ""),
        "" if lineage.seed is None else f"seed {lineage.seed}",
    )
