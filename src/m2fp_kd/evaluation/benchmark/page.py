"""Render a benchmark as one self-contained HTML page, without scripts and external requests."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from m2fp_kd.evaluation.benchmark.table import TEXT_COLUMNS
from m2fp_kd.evaluation.report.html import render_page


def benchmark_page(
    title: str, picture: str | None, rows: Sequence[Mapping[str, str | None]], remarks: Sequence[str]
) -> str:
    """Return the page as HTML text.

    Args:
        title: photos and CPU of the benchmark.
        picture: Pareto front as SVG, if there is one.
        rows: table with columns as texts.
        remarks: sentences below the table.
    """
    svg = Markup(picture) if picture else None
    return render_page("benchmark", title=title, svg=svg, rows=rows, remarks=remarks, text_columns=TEXT_COLUMNS)
