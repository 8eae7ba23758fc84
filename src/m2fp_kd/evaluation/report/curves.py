"""Read learning curves from a CSV log and draw them as SVG in the page's colours."""

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

Curve = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 26
MOST_POINTS = 200


def read_curves(metrics_csv: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the curves of a CSV log with a ``step`` column and one column per metric (Lightning's ``CSVLogger``).

    Returns:
        metric -> [(step, value), ...], without empty fields and without the ``epoch`` column.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: there is no ``step`` column, or a field is not a number.
    """
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with metrics_csv.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if "step" not in (rows.fieldnames or ()):
            raise ValueError(f"{metrics_csv}: has no 'step' column; is it the log of a run?")
        for row in rows:
            step = int(row.pop("step"))
            for metric, value in row.items():
                if value and metric != "epoch":
                    curves[metric].append((step, float(value)))
    return dict(curves)


def thin(curve: Curve, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Reduce a curve to at most `most` points by averaging groups of neighbours; drop values that are not finite."""
    finite = [(step, value) for step, value in curve if value is not None and math.isfinite(value)]
    if len(finite) <= most:
        return [(float(step), float(value)) for step, value in finite]
    return [(float(x), float(y)) for x, y in (np.mean(group, axis=0) for group in np.array_split(finite, most))]


def ticks(low: float, high: float) -> list[float]:
    """Return about four round numbers that span `low` to `high`, spaced by 1, 2 or 5 times a power of ten."""
    span = (high - low) or abs(high) or 1.0
    raw = span / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


def line_chart(curve: Curve, name: str) -> str:
    """Return an SVG line chart with a grid and the last value marked; "" if no value is finite.

    Colours come from the page's CSS classes ``grid``, ``tick``, ``line``, ``area`` and ``end``.
    """
    points = thin(curve)
    if not points:
        return ""
    steps, values = zip(*points, strict=True)
    x_ticks, y_ticks = ticks(min(steps), max(steps)), ticks(min(values), max(values))
    x_low, x_high = min(steps), max(max(steps), min(steps) + 1)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def x(step: float) -> float:
        return LEFT + (step - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
    marks = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 7}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        for tick in y_ticks
    ]
    marks += [
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{short(tick)}</text>'
        for tick in x_ticks
        if x_low <= tick <= x_high
    ]
    end_x, end_y = x(steps[-1]), y(values[-1])
    base = HEIGHT - BOTTOM
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)} from {short(values[0])} '
        f'to {short(values[-1])}">{"".join(marks)}'
        f'<polygon class="area" points="{x(steps[0]):.1f},{base} {path} {end_x:.1f},{base}"/>'
        f'<polyline class="line" points="{path}"/>'
        f'<circle class="end" cx="{end_x:.1f}" cy="{end_y:.1f}" r="3.5"/></svg>'
    )


def short(value: float) -> str:
    """Format a number for an axis: 0.35, 12, 1.5k, 2e-5."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:.3g}"
