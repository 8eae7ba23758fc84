"""All runs as one self-contained HTML page: no script, no external request."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from m2fp_kd.evaluation.report.html import render_page


def runs_page(
    folder: str, picture: str | None, rows: Sequence[Mapping[str, Any]], recipes: Sequence[Mapping[str, Any]]
) -> str:
    """The page as HTML text.

    Args:
        folder: whose runs they are.
        picture: the Pareto front as SVG, if there is one.
        rows: one per run.
        recipes: one per recipe, see `gains`; may be empty.
    """
    svg = Markup(picture) if picture else None
    return render_page("runs", folder=folder, svg=svg, tables={"Recipes": recipes, "Runs": rows})
