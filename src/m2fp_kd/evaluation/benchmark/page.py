"""A benchmark as one self-contained HTML page: no script, no external request."""

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m2fp_kd.evaluation.benchmark.table import NAMES
from m2fp_kd.evaluation.summary import MISSING


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
    environment = Environment(loader=PackageLoader("m2fp_kd.evaluation"), autoescape=True, undefined=StrictUndefined)
    svg = Markup(picture) if picture else None
    page = environment.get_template("benchmark.html.j2")
    return page.render(title=title, svg=svg, rows=rows, remarks=remarks, missing=MISSING, words=NAMES)
