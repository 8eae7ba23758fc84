"""A benchmark as one self-contained HTML page: no script, no external request."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from m2fp_kd.evaluation.benchmark.table import NAMES
from m2fp_kd.evaluation.report.html import render_page


def benchmark_page(
    title: str, picture: str | None, rows: Sequence[Mapping[str, str | None]], remarks: Sequence[str]
) -> str:
    """The page as HTML text.

    Args:
        title: what was measured, and where.
        picture: the Pareto front as SVG, if there is one.
        rows: the table, columns as texts.
        remarks: sentences below it.
    """
    svg = Markup(picture) if picture else None
    return render_page("benchmark", title=title, svg=svg, rows=rows, remarks=remarks, words=NAMES)
