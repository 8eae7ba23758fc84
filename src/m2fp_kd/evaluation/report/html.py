"""Render pages from the templates beside this file."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from m2fp_kd.evaluation.report.numbers import (
    MISSING,
    boundary_change_of,
    broken_limits,
    change_of,
    checked_limits,
    percent,
    points,
)
from m2fp_kd.evaluation.report.results import title


def _in_pieces(value: object) -> Markup:
    """Let a browser break a name behind its underscores."""
    return escape(str(value)).replace("_", Markup("_<wbr>"))


_PAGES = Environment(
    loader=PackageLoader("m2fp_kd.evaluation.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters.update(points=points, percent=percent, title=title)
_PAGES.filters.update(change_of=change_of, boundary_change_of=boundary_change_of)
_PAGES.filters.update(broken_limits=broken_limits, checked_limits=checked_limits, in_pieces=_in_pieces)
_PAGES.globals.update(missing=MISSING)


def render_page(template: str, **values: Any) -> str:
    """Return the HTML text of ``templates/TEMPLATE.html.j2`` filled with ``values``.

    Strings are escaped unless they are ``markupsafe.Markup``.

    Raises:
        jinja2.UndefinedError: the template needs a value that was not given.
    """
    return _PAGES.get_template(f"{template}.html.j2").render(**values)
