import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from m2fp_kd.evaluation.report.curves import line_chart, read_curves, short, thin, ticks


def test_reads_lightnings_log(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,step,train/loss,val/mIoU\n0,9,2.5,\n0,9,,0.25\n1,19,nan,\n", encoding="utf-8")
    curves = read_curves(log)
    assert curves["val/mIoU"] == [(9, 0.25)]
    assert curves["train/loss"][0] == (9, 2.5)
    assert math.isnan(curves["train/loss"][1][1])
    assert set(curves) == {"train/loss", "val/mIoU"}


def test_a_file_that_is_not_a_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.csv: has no 'step' column"):
        read_curves(tmp_path / "other.csv")


def test_thinning_keeps_the_mean_and_drops_values_that_are_not_finite() -> None:
    curve = [(step, float(step)) for step in range(1000)] + [(1000, math.nan)]
    thinned = thin(curve, 10)
    assert len(thinned) == 10
    assert thinned[0] == (49.5, 49.5)
    assert sum(value for _, value in thinned) / 10 == pytest.approx(499.5)
    assert thin([(1, 2.0), (2, math.inf)]) == [(1.0, 2.0)]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.03, 0.48, [0, 0.2, 0.4, 0.6]),
        (0, 4, [0, 1, 2, 3, 4]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_span_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 3.0, -2e-5])
def test_a_constant_curve_has_a_scale(value: float) -> None:
    scale = ticks(value, value)
    assert scale[0] <= value <= scale[-1]
    assert scale[0] < scale[-1]
    assert "nan" not in line_chart([(0, value), (5, value)], "constant")


def test_the_chart_stays_inside_its_frame() -> None:
    chart = ElementTree.fromstring(line_chart([(0, 1.0), (100, 5.0), (200, -3.0)], 'val/"<x>"'))
    line = chart.find("polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(points) == 3
    assert points[1][1] < points[0][1] < points[2][1]  # up is smaller y
    assert all(0 <= x <= 360 and 0 <= y <= 190 for x, y in points)
    assert '"<x>"' in chart.attrib["aria-label"]


def test_one_point_is_drawn_and_no_point_gives_no_chart() -> None:
    assert "<circle" in line_chart([(0, 1.0)], "one")
    assert line_chart([], "none") == line_chart([(0, math.nan)], "none") == ""


def test_short_numbers() -> None:
    assert [short(value) for value in (0, 0.35, 12, 1500, 2e-5, -3)] == ["0", "0.35", "12", "1.5k", "2e-5", "-3"]
