"""Render all runs as one self-contained HTML page, without scripts and external requests."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from m2fp_kd.evaluation.report.html import render_page


def runs_page(
    folder: str, picture: str | None, rows: Sequence[Mapping[str, Any]], objectives: Sequence[Mapping[str, Any]]
) -> str:
    """Return the page as HTML text.

    Args:
        folder: folder of the runs.
        picture: Pareto front as SVG, if there is one.
        rows: one row per run.
        objectives: one row per objective, see `gains`; may be empty.
    """
    svg = Markup(picture) if picture else None
    return render_page("runs", folder=folder, svg=svg, tables={"Objectives": objectives, "Runs": rows})
