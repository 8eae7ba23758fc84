"""Render a run's report as one self-contained HTML page, without scripts and external requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from markupsafe import Markup

from m2fp_kd.evaluation.report.curves import Curve, line_chart, short
from m2fp_kd.evaluation.report.html import render_page
from m2fp_kd.evaluation.report.numbers import MISSING, percent, setup
from m2fp_kd.evaluation.report.pareto import Point, draw_front, front
from m2fp_kd.evaluation.report.pictures import Picture, data_uri, panels
from m2fp_kd.evaluation.report.reliability_chart import reliability_chart
from m2fp_kd.evaluation.report.results import NOTABLE_CORES, RunReport, title
from m2fp_kd.evaluation.report.summary import Cell, Row, summary_rows, ungated_scores

TILES = ("mIoU", "Size", "Latency, p50", "Peak memory")
PART_CURVES = "val/IoU/"
SHARES = ("val/mIoU", PART_CURVES)
"""Beginnings of the names of curves that are shares of 1; the page shows every score in percent."""
NOTABLE_LOSS = -0.01

# Heading -> (model before, model after).
CHANGES = {
    "Change by pruning or QAT": ("student_original", "student_fp32"),
    "Change by INT8": ("student_fp32", "student_int8"),
}


@dataclass(frozen=True)
class Chart:
    """A small chart with its name and the value shown beside it, such as the last value of a learning curve."""

    name: str
    last: str
    svg: Markup


@dataclass(frozen=True)
class Panel:
    """One picture of a row: its title, its mIoU on this photo ("" if there is none) and the image as a data URI."""

    title: str
    score: str
    uri: str


@dataclass(frozen=True)
class PartRow:
    """A part's score for every model and its changes by compression; None if not measured or not present.

    Attributes:
        name: name of the part.
        colour: CSS colour.
        share: share of the scored pixels, 0..1.
        scores: score of each model, 0..1.
        changes: change of the score for each of the run's `CHANGES`.
    """

    name: str
    colour: str
    share: float | None
    scores: list[float | None]
    changes: list[float | None]


def render(report: RunReport, pictures: Sequence[Picture] = ()) -> str:
    """Return the page as HTML text."""
    charts = _charts(report)
    rows, part_tables = summary_rows(report), _part_tables(report)
    return render_page(
        "report",
        report=report,
        rows=rows,
        tiles=_tiles(report, rows),
        headline=_headline(report),
        setups=[setup(model.engine, model.precision, model.threads) or MISSING for model in report.models.values()],
        notes=[(title(key), model.note) for key, model in report.models.items() if model.note],
        persons=any(model.instances for model in report.models.values()),
        sources=any(model.sources for model in report.models.values()),
        scored_on=_scored_on(report),
        ungated=ungated_scores(report),
        busy=[title(key) for key, model in report.models.items() if (model.other_cores or 0) > NOTABLE_CORES],
        parts=part_tables["IoU"],
        part_tables=part_tables,
        changes=list(_changes(report)),
        front=_front(report),
        notable=NOTABLE_LOSS,
        reliability=_reliability(report),
        charts=[chart for chart in charts if not chart.name.startswith(PART_CURVES)],
        part_charts=[chart for chart in charts if chart.name.startswith(PART_CURVES)],
        pictures=[(picture.name, _panels(picture, report)) for picture in pictures],
        colours=_colours(report),
        facts={
            heading: _facts(values)
            for heading, values in (
                ("Lineage", report.lineage.to_dict()),
                ("Data", report.data.to_dict()),
                ("CPU", report.cpu),
                ("Versions", report.versions),
            )
        },
        config=yaml.safe_dump(report.to_dict()["config"], sort_keys=False, allow_unicode=True),
    )


def _headline(report: RunReport) -> str | None:
    """Return the key of the model to ship: the last student that no failed gate leads to; None without one."""
    failed: set[str] = set()
    for hop in report.parity:
        before, _, after = (name.lower().split(" ")[-1] for name in hop.hop.partition(" -> "))
        if not hop.passed or before in failed:
            failed.add(after)
    good = [key for key in report.models if key.removeprefix("student_") not in failed]
    return good[-1] if good and (good[-1] != "teacher" or not failed) else None


def _tiles(report: RunReport, rows: Sequence[Row]) -> list[tuple[Row, Cell]]:
    """Return the quantities of the headline's model, each with its cell."""
    if (headline := _headline(report)) is None:
        return []
    place = list(report.models).index(headline)
    chosen = [(row, row.cells[place]) for row in rows if row.quantity in TILES]
    return [(row, cell) for row, cell in chosen if cell.text != MISSING]


def _scored_on(report: RunReport) -> str:
    """Describe the photos that the models were scored on: "500 test photos of pascal_person_part"."""
    data = report.data
    count = f"{data.scored_photos:,} " if data.scored_photos else ""
    return f"{count}{data.scored_on or 'validation photos'}" + (f" of {data.name}" if data.name else "")


def _colours(report: RunReport) -> list[str]:
    return [f"rgb({red} {green} {blue})" for red, green, blue in report.labels.colours]


def _facts(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested values to pairs of a name ("teacher licence") and a text."""
    facts = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            facts += _facts(value, f"{name} ")
        elif isinstance(value, list | tuple):
            facts.append((name, ", ".join(map(str, value)) or "none"))
        else:
            facts.append((name, MISSING if value is None else str(value)))
    return facts


def _charts(report: RunReport) -> list[Chart]:
    drawn = ((name, curve, line_chart(curve, name)) for name, curve in _shown_curves(report).items())
    return [Chart(name, short(curve[-1][1]), Markup(svg)) for name, curve, svg in drawn if svg]


def _shown_curves(report: RunReport) -> dict[str, Curve]:
    """Return the curves to draw: validation first, learning rates last, equal ones once, shares in percent."""
    order = sorted(report.curves, key=lambda name: (not name.startswith("val/"), name.startswith("lr"), name))
    names: dict[tuple[tuple[int, float], ...], list[str]] = {}
    for name in order:
        names.setdefault(tuple((step, value) for step, value in report.curves[name]), []).append(name)
    return dict(_in_percent(_joined(same), list(curve)) for curve, same in names.items())


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} equal"


def _in_percent(name: str, curve: list[tuple[int, float]]) -> tuple[str, Curve]:
    if not name.startswith(SHARES):
        return name, curve
    return f"{name} %", [(step, 100 * value) for step, value in curve]


def _reliability(report: RunReport) -> list[Chart]:
    found = {title(key): model.reliability for key, model in report.models.items() if model.reliability is not None}
    return [
        Chart(name, f"ECE {percent(reliability.ece)} %", Markup(reliability_chart(reliability, name)))
        for name, reliability in found.items()
    ]


def _front(report: RunReport) -> Markup | None:
    """Return time against mIoU of the run's models as SVG; None if fewer than two models have both."""
    shown = [
        (title(key), model.engine or "engine unknown", model.p50_ms, model.miou)
        for key, model in report.models.items()
        if model.p50_ms is not None and model.miou is not None
    ]
    if len(shown) < 2:
        return None
    best = front([(ms, -miou) for _, _, ms, miou in shown])
    points = [
        Point(name, engine, ms, 100 * miou, index in best) for index, (name, engine, ms, miou) in enumerate(shown)
    ]
    return Markup(draw_front(points, "mIoU %", ""))


def _changes(report: RunReport) -> dict[str, tuple[str, str]]:
    return {heading: pair for heading, pair in CHANGES.items() if set(pair) <= set(report.models)}


def _part_tables(report: RunReport) -> dict[str, list[PartRow]]:
    """Return the rows of the parts for IoU and, if measured, for boundary IoU and boundary F."""
    tables = {"IoU": _part_rows(report, {key: model.iou for key, model in report.models.items()})}
    borders = {key: model.boundary for key, model in report.models.items()}
    if any(borders.values()):
        tables["Boundary IoU"] = _part_rows(report, {key: one.iou_of if one else {} for key, one in borders.items()})
        tables["Boundary F"] = _part_rows(report, {key: one.f_of if one else {} for key, one in borders.items()})
    return tables


def _part_rows(report: RunReport, scores: Mapping[str, Mapping[str, float | None]]) -> list[PartRow]:
    """Return a row per part, rare parts first, because compression harms them most.

    Args:
        report: report of the run.
        scores: model -> part -> score.
    """
    rows = []
    for name, colour in zip(report.labels.parts, _colours(report), strict=True):
        values = {key: of_model.get(name) for key, of_model in scores.items()}
        changes = [_change(values[before], values[after]) for before, after in _changes(report).values()]
        rows.append(PartRow(name, colour, report.shares.get(name), list(values.values()), changes))
    return sorted(rows, key=lambda row: 0.0 if row.share is None else row.share)


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _panels(picture: Picture, report: RunReport) -> list[Panel]:
    images = panels(picture, report.labels)
    return [Panel(title(key), _photo_score(picture, key, report), data_uri(image)) for key, image in images.items()]


def _photo_score(picture: Picture, key: str, report: RunReport) -> str:
    score = None if key in ("photo", "truth") else picture.miou(key, report.labels)
    return "" if score is None else percent(score)
