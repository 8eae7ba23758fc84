"""Collect time and quality of every run's models, to draw their Pareto front."""

from collections import defaultdict
from collections.abc import Mapping

from m2fp_kd.evaluation.report.pareto import Point, front
from m2fp_kd.evaluation.report.results import RunReport, title


def points_by_photos(reports: Mapping[str, RunReport], names: Mapping[str, str]) -> dict[str, list[Point]]:
    """Return points in ms per photo and mIoU in %, with the front marked.

    Args:
        reports: name of a run -> report.
        names: name of a run -> label of its students on the front. A teacher of several runs is shown once, with the
            first run's measurements.

    Returns:
        Photos that models were scored on ("sample, validation photos") -> points. Only models on the same photos are
        compared; times are comparable only if one machine measured them.
    """
    points: dict[str, list[tuple[str, str, float, float]]] = defaultdict(list)
    for run, report in reports.items():
        photos = f"{report.data.name}, {report.data.scored_on}"
        shown = {(group, label) for group, label, _, _ in points[photos]}
        for key, model in report.models.items():
            label = str(report.lineage.teacher.name) if key == "teacher" else names[run]
            if model.p50_ms is not None and model.miou is not None and (title(key), label) not in shown:
                points[photos].append((title(key), label, model.p50_ms, 100 * model.miou))
    return {photos: _marked(found) for photos, found in points.items() if found}


def _marked(found: list[tuple[str, str, float, float]]) -> list[Point]:
    best = front([(ms, -value) for _, _, ms, value in found])
    return [
        Point(label if index in best else "", group, ms, value, index in best)
        for index, (group, label, ms, value) in enumerate(found)
    ]
