import re
from dataclasses import replace
from pathlib import Path

import pytest

from m2fp_kd.evaluation.metrics.reliability import BINS, Reliability
from m2fp_kd.evaluation.report.reliability_chart import reliability_chart
from m2fp_kd.evaluation.report.report import read_report, write_report
from m2fp_kd.evaluation.report.summary import summary_rows
from tests.evaluation.reports import tiny_report

EMPTY = [None] * (BINS - 2)
FOUND = Reliability([30, *[0] * (BINS - 2), 10], [0.05, *EMPTY, 0.95], [0.0, *EMPTY, 1.0], ece=0.0512)


def test_confident_and_correct_cells_are_in_the_upper_right_corner() -> None:
    chart = reliability_chart(FOUND, "<b>")
    dots = [tuple(map(float, dot)) for dot in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', chart)]
    assert len(dots) == 2, "empty bins have no dot"
    (left, low), (right, high) = dots
    (start, bottom, end, top) = map(
        float, re.findall(r'x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', chart)[-1]
    )
    assert (low, high) == (bottom, top)
    assert (left - start) / (end - start) == pytest.approx(0.05, abs=1e-3)
    assert (right - start) / (end - start) == pytest.approx(0.95, abs=1e-3)
    assert "&lt;b&gt;, expected calibration error 5.1 %" in chart


def test_the_report_has_the_bins_the_error_and_a_chart(tmp_path: Path) -> None:
    report = tiny_report()
    models = report.models | {"student_int8": replace(report.models["student_int8"], reliability=FOUND)}
    report = replace(report, models=models)
    path, page = write_report(tmp_path, report)
    read = read_report(path).models
    assert read["student_int8"].reliability == FOUND and read["teacher"].reliability is None
    assert page.read_text(encoding="utf-8").count("ECE 5.1 %") == 1
    (row,) = (row for row in summary_rows(report) if row.quantity == "Calibration error (ECE)")
    assert [cell.text for cell in row.cells] == ["–", "–", "5.1"]
