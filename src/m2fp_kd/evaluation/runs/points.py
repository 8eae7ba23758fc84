"""Time against quality of every run's models, for the picture of their Pareto front."""

from collections import defaultdict
from collections.abc import Mapping

from m2fp_kd.evaluation.report.pareto import Point, front
from m2fp_kd.evaluation.report.results import RunReport, title


def points_by_photos(reports: Mapping[str, RunReport], names: Mapping[str, str]) -> dict[str, list[Point]]:
    """Points in ms per photo and % of mIoU, with the front marked.

    Args:
        reports: by run.
        names: run -> what the points of its students on the front are labelled with. A teacher of several runs is shown
            once, as the first of them measured it.

    Returns:
        The photos that models were scored on ("sample, validation photos") -> points. Models of other photos are no
        rivals; times compare only where one machine took them.
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
