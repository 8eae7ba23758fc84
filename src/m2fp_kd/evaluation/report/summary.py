"""Summarise a run in a table of quality and cost with one column per model."""

from collections.abc import Callable
from dataclasses import dataclass

from m2fp_kd.evaluation.report.numbers import MISSING, number, percent, points, setup, verdict
from m2fp_kd.evaluation.report.results import ModelResult, RunReport, title

INSTANCES = ("APp50", "APvol", "PCP50", "APr50", "APr")
"""Instance metrics to show; ``report.json`` holds the other thresholds."""


@dataclass(frozen=True)
class Cell:
    """A value as text, and its comparison with the first model's value ("31× smaller"; "" if there is none)."""

    text: str
    compared: str = ""


@dataclass(frozen=True)
class Row:
    """A quantity, its unit and one cell per model."""

    quantity: str
    unit: str
    cells: list[Cell]


def summary_rows(report: RunReport) -> list[Row]:
    """Return the rows of the table, without quantities that no model has."""
    rows = [
        _row(report, "mIoU", "%", lambda model: model.miou, percent, _difference),
        _row(report, "mIoU, absent parts = 0", "%", lambda model: model.miou_absent_zero, percent, _difference),
        *(_row(report, f"mIoU on {name}", "%", _source(name), percent, _difference) for name in _sources(report)),
        _row(report, "Boundary IoU", "%", lambda model: model.boundary_iou, percent, _difference),
        _row(report, "Boundary F", "%", lambda model: model.boundary_f, percent, _difference),
        *(_row(report, name, "%", _instances(name), percent, _difference) for name in INSTANCES),
        _row(report, "Calibration error (ECE)", "%", _ece, percent, _difference),
        _row(report, "Size", "MB", lambda model: model.megabytes, number, _ratio("smaller", "larger")),
        _row(report, "Parameters", "M", lambda model: _millions(model.parameters), number, _ratio("fewer", "more")),
        _row(report, "MACs", "G", lambda model: model.gmacs, number, _ratio("fewer", "more")),
        _row(report, "Latency, p50", "ms", lambda model: model.p50_ms, number, _ratio("faster", "slower")),
        _row(report, "Latency, p95", "ms", lambda model: model.p95_ms, number, _ratio("faster", "slower")),
        _row(report, "Used by others meanwhile", "cores", lambda model: model.other_cores, number, lambda *_: ""),
        _row(report, "Peak memory", "MB", lambda model: model.peak_mb, number, _ratio("less", "more")),
    ]
    return [row for row in rows if any(cell.text != MISSING for cell in row.cells)]


def summary_table(report: RunReport) -> str:
    """Return the table as text for a terminal, followed by the result of each gate."""
    lines = [["", *map(title, report.models)]]
    for row in summary_rows(report):
        cells = [f"{cell.text}  ({cell.compared})" if cell.compared else cell.text for cell in row.cells]
        lines.append([f"{row.quantity} [{row.unit}]", *cells])
    setups = [setup(model.engine, model.precision, model.threads) for model in report.models.values()]
    lines.append(["Measured with", *(text or MISSING for text in setups)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "─" * len(max(text, key=len)))
    return "\n".join([*text, "", *map(verdict, report.parity), *ungated_scores(report)]).rstrip()


def ungated_scores(report: RunReport) -> list[str]:
    """Return a line for each score that no gate limits, with what compression changed.

    These are the scores of persons, and those on the sources of a mix that have no labelled validation photos.
    """
    scores = {"APr of persons": _instances("APr")}
    scores |= {
        f"mIoU on {name}, which has no validation photos with labels": _source(name) for name in report.data.ungated
    }
    students = [model for name, model in report.models.items() if name != "teacher"]
    changes = {name: [value for model in students if (value := of(model)) is not None] for name, of in scores.items()}
    return [
        f"! no gate  {name}: {points(values[-1] - values[0], decimals=2)} points from the first to the last student"
        for name, values in changes.items()
        if len(values) > 1
    ]


def _millions(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def _ece(model: ModelResult) -> float | None:
    return None if model.reliability is None else model.reliability.ece


def _instances(name: str) -> Callable[[ModelResult], float | None]:
    return lambda model: model.instances.get(name)


def _sources(report: RunReport) -> list[str]:
    return list(dict.fromkeys(name for model in report.models.values() for name in model.sources))


def _source(name: str) -> Callable[[ModelResult], float | None]:
    return lambda model: model.sources.get(name)


def _row(
    report: RunReport,
    quantity: str,
    unit: str,
    value_of: Callable[[ModelResult], float | None],
    write: Callable[[float], str],
    compare: Callable[[float, float], str],
) -> Row:
    first, *others = (value_of(model) for model in report.models.values())
    cells = [Cell(MISSING if first is None else write(first))]
    for value in others:
        compared = compare(value, first) if value and first else ""
        cells.append(Cell(MISSING if value is None else write(value), compared))
    return Row(quantity, unit, cells)


def _difference(value: float, first: float) -> str:
    return f"{points(value - first)} points"


def _ratio(below: str, above: str) -> Callable[[float, float], str]:
    def compare(value: float, first: float) -> str:
        if value == first:
            return "the same"
        factor, word = (first / value, below) if value <= first else (value / first, above)
        return f"{factor:.0f}× {word}" if factor >= 10 else f"{factor:.1f}× {word}"

    return compare
