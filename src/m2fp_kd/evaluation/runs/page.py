"""Render all runs as one self-contained HTML page, without scripts and external requests."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from m2fp_kd.evaluation.report.html import render_page
from m2fp_kd.evaluation.report.pareto import Point, draw_front
from m2fp_kd.evaluation.runs.gather import FRONT

IN_OBJECTIVE = ("temperature", "alpha")
"""Columns of the runs that the column of the objective holds too."""


def fronts(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Draw the Pareto front of the runs' shipped models on each kind of photos.

    Args:
        rows: rows of `gather.table`.

    Returns:
        Photos ("pascal_person_part, test photos") -> SVG. Runs that were not measured or failed a gate are left out,
        and so are photos with a single run.
    """
    points: dict[str, list[Point]] = defaultdict(list)
    for row in rows:
        if row[FRONT] is not None:
            photos = f"{row['data']}, {row['scored on'] or 'validation photos'}"
            best = row[FRONT] == "yes"
            points[photos].append(Point(row["run"], row["backbone"] or "M2FP", row["p50 ms"], row["mIoU %"], best))
    several = {photos: found for photos, found in points.items() if len(found) > 1}
    return {photos: draw_front(found, "mIoU %", "every run's shipped model") for photos, found in several.items()}


def runs_page(
    folder: str,
    pictures: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    objectives: Sequence[Mapping[str, Any]],
    remarks: Sequence[str] = (),
) -> str:
    """Return the page as HTML text.

    Args:
        folder: folder of the runs.
        pictures: photos -> Pareto front on them as SVG.
        rows: one row per run.
        objectives: one row per objective, see `gains`; may be empty.
        remarks: sentences below the fronts.
    """
    shown = [{column: value for column, value in row.items() if column not in IN_OBJECTIVE} for row in rows]
    tables = {heading: split(found) for heading, found in (("Objectives", objectives), ("Runs", shown)) if found}
    drawn = {photos: Markup(picture) for photos, picture in pictures.items()}
    return render_page("runs", folder=folder, pictures=drawn, tables=tables, remarks=remarks)


def split(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split rows into what all have in common, and rows of the other columns, which fit a page better.

    A single row has nothing in common with others; None is no value.
    """
    first, *others = rows
    common = {
        column: value
        for column, value in first.items()
        if others and value is not None and all(row[column] == value for row in others)
    }
    return common, [{column: value for column, value in row.items() if column not in common} for row in rows]
