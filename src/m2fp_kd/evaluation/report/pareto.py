"""Compute and draw the Pareto front of time against quality or size."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

SIZE = (9, 5.2)
LEAST_SPAN = 1.0
"""Minimum span of a linear vertical axis; without it, hundredths of a point of mIoU would look like a large gap."""

COLOURS = ("#3672e3", "#e07b16", "#21966c", "#9a55d6", "#c2437a", "#5b6676", "#17a2b8", "#b8860b")
INK, RULE = "#626c7b", "#d5dae2"
# Offsets of a label from its point, in points to the right and upwards, best first.
DIRECTIONS = ((1, 0), (0, 1), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
PLACES = [(8 * ring * right, 8 * ring * up) for ring in range(1, 9) for right, up in DIRECTIONS]
HORIZONTAL = {1: "left", 0: "center", -1: "right"}
VERTICAL = {1: "bottom", 0: "center", -1: "top"}


@dataclass(frozen=True)
class Point:
    """A point of the picture.

    Attributes:
        label: text beside the point; may be empty.
        group: group in the legend; points of one group share a colour.
        ms: milliseconds per photo.
        value: value on the vertical axis; None draws a vertical line at `ms`.
        on_front: whether the point is drawn filled and joined with the others of the front.
    """

    label: str
    group: str
    ms: float
    value: float | None
    on_front: bool


def front(costs: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points that no other dominates, by ascending first cost; lower costs are better.

    One point dominates another if it is no worse in either cost and better in one; equal points both stay.
    """
    chosen: list[int] = []
    for index in sorted(range(len(costs)), key=lambda index: costs[index]):
        if not chosen or costs[index][1] < costs[chosen[-1]][1] or costs[index] == costs[chosen[-1]]:
            chosen.append(index)
    return chosen


def draw_front(points: Sequence[Point], value_name: str, title: str, log_values: bool = False) -> str:
    """Draw points over logarithmic time as SVG with a transparent background, the front joined by a line.

    Args:
        points: points, at least one of them with a value.
        value_name: label of the vertical axis.
        title: title above the picture.
        log_values: whether the vertical axis is logarithmic too.
    """
    style: Any = {
        "font.size": 9,
        "axes.edgecolor": RULE,
        "text.color": INK,
        "axes.labelcolor": INK,
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(style | {"xtick.color": INK, "ytick.color": INK, "svg.hashsalt": "pareto"}):
        figure = Figure(SIZE, dpi=150, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot(xscale="log", yscale="log" if log_values else "linear")
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("ms per photo (log)")
        axes.set_ylabel(value_name)
        axes.grid(True, which="major", color=RULE, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(0.12)
        for axis in (axes.xaxis, axes.yaxis) if log_values else (axes.xaxis,):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        _draw_points(axes, points)
        low, high = axes.get_ylim()
        if not log_values and high - low < LEAST_SPAN:
            axes.set_ylim((low + high - LEAST_SPAN) / 2, (low + high + LEAST_SPAN) / 2)
        figure.draw_without_rendering()
        _label_points(axes, points, canvas.get_renderer())
        drawn = io.StringIO()
        figure.savefig(
            drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
        return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    joined = sorted((point.ms, point.value) for point in points if point.on_front and point.value is not None)
    if joined:
        axes.plot(*zip(*joined, strict=True), color=INK, linewidth=1, linestyle="--", zorder=1)
    colours = dict(zip(dict.fromkeys(point.group for point in points), cycle(COLOURS), strict=False))
    for point in points:
        colour = colours[point.group]
        if point.value is None:
            axes.axvline(point.ms, color=colour, linewidth=1, linestyle=":")
        else:
            face = colour if point.on_front else "none"
            axes.plot(point.ms, point.value, "o", color=colour, markerfacecolor=face, markersize=7, zorder=2)
    for group, colour in colours.items():
        axes.plot([], [], "o", color=colour, label=group)
    axes.figure.legend(frameon=False, loc="outside lower center", ncols=4, fontsize=8)


def _boxes_along_front(axes: Axes, points: Sequence[Point]) -> list[Bbox]:
    """Cover the line that joins the front with small boxes, in pixels."""
    joined = sorted((point.ms, point.value) for point in points if point.on_front and point.value is not None)
    corners = axes.transData.transform(joined) if joined else np.empty((0, 2))
    boxes = []
    for start, end in pairwise(corners):
        steps = max(2, int(np.hypot(*(end - start)) / 6))
        boxes += [Bbox.from_extents(x - 2, y - 2, x + 2, y + 2) for x, y in np.linspace(start, end, steps)]
    return boxes


def _label_points(axes: Axes, points: Sequence[Point], renderer: RendererAgg) -> None:
    """Place each label at its first offset inside the axes where it covers no label, no point and not the front."""
    taken = _boxes_along_front(axes, points)
    for point in points:
        if point.value is not None:
            x, y = axes.transData.transform((point.ms, point.value))
            taken.append(Bbox.from_extents(x - 8, y - 8, x + 8, y + 8))
    for point in sorted(filter(lambda point: point.label, points), key=lambda point: (not point.on_front, point.ms)):
        if point.value is None:
            axes.annotate(
                point.label,
                (point.ms, 0.02),
                (-4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                rotation=90,
                fontsize=8,
                ha="right",
                va="bottom",
            )
            continue
        for right, up in PLACES:
            label = axes.annotate(
                point.label,
                (point.ms, point.value),
                (right, up),
                textcoords="offset points",
                ha=HORIZONTAL[int(np.sign(right))],
                va=VERTICAL[int(np.sign(up))],
                fontsize=8,
                fontweight="bold" if point.on_front else "normal",
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 4},
            )
            label.update_positions(renderer)
            box = Text.get_window_extent(label, renderer)  # without the line to its point
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if (inside and not any(box.overlaps(other) for other in taken)) or (right, up) == PLACES[-1]:
                taken.append(box)
                break
            label.remove()
