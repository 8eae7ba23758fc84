from dataclasses import replace

import pytest

from m2fp_kd.evaluation.benchmark.comparison import (
    Compared,
    Row,
    compare,
    drift,
    fastest,
    mark_front,
    measured,
    with_problem,
)
from m2fp_kd.evaluation.benchmark.table import as_text, plain, table
from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
from m2fp_kd.evaluation.speed.measure import Measurement

REFERENCE = Row("reference", True, "pytorch", "f32", 2, 1, p50_ms=3600, peak_mb=2000, megabytes=250)
TEACHER = Row("teacher", True, "openvino", "f32", 2, 1, p50_ms=1200, peak_mb=1000, megabytes=250, miou=0.6)
STUDENT = Row("student", False, "openvino", "f32", 2, 1, p50_ms=12, peak_mb=150, megabytes=5, miou=0.5)
FAILED = Row("broken", False, None, "f32", 2, 1, problem="no such artefact")


def measurement(times: list[float], **more: object) -> Measurement:
    return Measurement(
        sorted(times)[len(times) // 2], max(times), len(times), "", 2, "e", "f32", {}, times_ms=times, **more
    )


def test_a_row_gets_its_pooled_rounds() -> None:
    rounds = [measurement([1.0, 2, 3]), measurement([11.0, 12, 13])]
    row = measured(Row("student", False, None, "auto", 2, 4), rounds)
    assert (row.name, row.engine, row.precision, row.p50_ms, row.runs) == ("student", "e", "f32", 7, 6)
    assert row.photo_ms == 7 / 4 and row.photos_per_second == pytest.approx(4000 / 7)
    assert drift([row, STUDENT]) == 6 and drift([STUDENT]) == 1


def test_rows_are_compared_with_every_baseline() -> None:
    rows = compare([REFERENCE, TEACHER, STUDENT, FAILED])
    assert rows[2].compared == {"reference": Compared(300, 0.02, 0.075), "teacher": Compared(100, 0.02, 0.15)}
    assert rows[0].compared["reference"] == Compared(1, 1, 1) and rows[1].compared["reference"].faster == 3
    assert rows[3].compared == {}


def test_a_baseline_gets_its_best_setting_at_the_same_number_of_threads() -> None:
    slow = replace(TEACHER, engine="onnxruntime", p50_ms=1400.0)
    batched = replace(TEACHER, batch=8, p50_ms=8 * 1100.0, peak_mb=3000.0)
    one_thread = replace(TEACHER, threads=1, p50_ms=10.0)
    student = compare([TEACHER, slow, batched, one_thread, STUDENT])[-1]
    assert student.compared == {"teacher": Compared(1100 / 12, 0.02, 0.05)}
    assert compare([one_thread, STUDENT])[-1].compared == {}
    broken = replace(FAILED, name="teacher", baseline=True)
    assert compare([broken, STUDENT])[-1].compared == {}


def test_the_front_is_by_miou_if_there_are_scores() -> None:
    better = replace(STUDENT, p50_ms=20.0, miou=0.55, megabytes=9.0)
    dominated = replace(STUDENT, p50_ms=21.0, miou=0.54, megabytes=1.0)
    other_threads = replace(STUDENT, threads=1, p50_ms=500.0, miou=0.1)
    rows = mark_front([REFERENCE, TEACHER, STUDENT, better, dominated, other_threads, FAILED])
    assert [row.on_front for row in rows] == [False, True, True, True, False, True, False]
    unscored = [replace(row, miou=None, on_front=False) for row in rows]
    assert [row.on_front for row in mark_front(unscored)] == [False, False, True, False, True, True, False]


def test_the_fastest_row_is_per_photo_and_never_a_baseline() -> None:
    batched = replace(STUDENT, batch=8, p50_ms=80.0)
    assert fastest([replace(REFERENCE, p50_ms=1.0), STUDENT, batched, FAILED]) == batched
    assert fastest([REFERENCE, FAILED]) is None


def test_problems_are_joined() -> None:
    assert with_problem(with_problem(STUDENT, "a"), "b").problem == "a; b"


def test_tables_hold_the_measured_columns() -> None:
    rows = compare(
        [REFERENCE, replace(STUDENT, network=[256, 192], limit_share=0.414, boundary_iou=0.3, boundary_f=0.7), FAILED]
    )
    lines = table(rows)
    student, failed = lines[1], lines[2]
    assert student["Network"] == "256x192" and student["% of limit"] == "41" and student["mIoU %"] == "50.0"
    assert (student["Boundary IoU %"], student["Boundary F %"]) == ("30.0", "70.0")
    assert (student["p50 ms"], student["Photos/s"], student["Disk MB"]) == ("12.0", "83.3", "5.00")
    assert student["Against reference"] == "300× · 2.0 % disk · 7.5 % memory"
    assert failed["p50 ms"] is None and failed["Model"] == "broken"
    assert "Load ms" not in student  # measured in no row
    text = as_text(lines).splitlines()
    assert len(text) == 2 + 3 and set(text[1]) == {"─"}
    assert text[3].startswith("student    openvino") and "–" in text[4]
    assert as_markdown(lines).splitlines()[3].startswith("| student | openvino | f32 | 2 | 1 |")


def test_the_spreadsheet_holds_plain_numbers() -> None:
    rows = compare([REFERENCE, STUDENT, FAILED])
    header, _, student, failed = as_csv(plain(rows)).splitlines()
    values = dict(zip(header.split(","), student.split(","), strict=True))
    assert (values["p50_ms"], values["faster reference"], values["disk_share reference"]) == ("12", "300.0", "0.02")
    assert values["photos_per_second"].startswith("83.33")
    assert dict(zip(header.split(","), failed.split(","), strict=True))["problem"] == "no such artefact"
