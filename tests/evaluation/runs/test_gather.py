import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from m2fp_kd.cli import main
from m2fp_kd.evaluation.report.report import write_report
from m2fp_kd.evaluation.report.results import ModelResult
from m2fp_kd.evaluation.report.tables import as_csv, as_markdown
from m2fp_kd.evaluation.runs.gather import mark_front, read_all, remarks, rounded, table
from m2fp_kd.evaluation.runs.page import fronts
from m2fp_kd.runtime.provenance import DataSource, Lineage
from tests.evaluation.reports import tiny_report


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_report(tmp_path / "b" / "T4", tiny_report())
    write_report(tmp_path / "a", replace(tiny_report(passed=False), lineage=Lineage()))
    labels_only = replace(tiny_report(), models={"student_fp32": ModelResult(miou=0.4567)}, parity=[])
    write_report(tmp_path / "c", labels_only)
    return tmp_path


def test_rows_hold_settings_and_results(runs: Path) -> None:
    first, second, third = table(read_all(runs))
    assert [first["run"], second["run"], third["run"]] == ["a", "b/T4", "c"]
    assert (second["backbone"], second["temperature"], second["alpha"], second["seed"]) == ("resnet18", 4.0, 0.7, 3)
    assert second["shipped"] == "int8" and second["MB"] == 8.0 and second["p50 ms"] == 6.0
    assert 0 < second["mIoU %"] < second["teacher mIoU %"] < 100
    borders = tiny_report().models["student_int8"].boundary
    assert (second["boundary IoU %"], second["boundary F %"]) == (100 * borders.iou, 100 * borders.f)
    assert [row["gates"] for row in (first, second, third)] == ["FAILED", "passed", None]
    assert second["val mIoU %"] == pytest.approx(43.21, abs=1e-9) and second["scored on"] == "validation photos"
    assert second["photos"] == 2 and second["objective"] == "0.7 kl + 0.3 ce (T 4)"
    assert first["backbone"] is first["temperature"] is first["val mIoU %"] is None
    assert third["fp32 mIoU %"] == third["mIoU %"] == pytest.approx(45.67, abs=1e-9) and third["teacher mIoU %"] is None


def test_markdown_and_csv_hold_the_same_cells(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(read_all(runs))
    shown = rounded(rows)
    lines = as_markdown(shown).splitlines()
    assert len(lines) == 2 + 3
    assert lines[3].startswith("| b/T4 | tiny | resnet18 |")
    assert {line.count("|") for line in lines} == {len(shown[0]) + 1}
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert read[1]["temperature"] == "4.0" and read[2]["teacher mIoU %"] == ""
    main(["runs", str(runs), "--format", "csv"])
    assert capsys.readouterr().out == as_csv(rows) + "\n"


def test_an_empty_folder_and_a_broken_report_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no report\.json under .*make train"):
        read_all(tmp_path)
    (tmp_path / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_all(tmp_path)


def test_a_folder_without_reports_is_named_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path)]) == 2
    assert "no report.json under" in capsys.readouterr().err


def test_the_front_is_among_models_scored_on_the_same_photos() -> None:
    def row(data: str, ms: float | None, miou: float | None) -> dict[str, object]:
        return {"data": data, "scored on": "test photos", "p50 ms": ms, "mIoU %": miou, "gates": "passed"}

    rows = [row("a", 5, 50), row("a", 6, 50), row("a", 9, 60), row("b", 7, 20), row("a", None, 70), row("a", 5, None)]
    assert [marked["on the front"] for marked in mark_front(rows)] == ["yes", "no", "yes", "yes", None, None]


def test_a_run_that_failed_a_gate_is_on_no_front_and_keeps_none_off_it() -> None:
    row = {"data": "a", "scored on": "test photos"}
    rows = [row | {"p50 ms": 1, "mIoU %": 90, "gates": "FAILED"}, row | {"p50 ms": 2, "mIoU %": 80, "gates": None}]
    assert [marked["on the front"] for marked in mark_front(rows)] == [None, "yes"]


def test_people_get_rounded_figures_and_remarks() -> None:
    busy = replace(tiny_report(), models={"student_int8": ModelResult(miou=0.456789, p50_ms=6.0, other_cores=1.5)})
    rows = table({"alone": tiny_report(), "busy": busy, "failed": tiny_report(passed=False)})
    assert rows[1]["mIoU %"] == pytest.approx(45.6789) and rounded(rows)[1]["mIoU %"] == 45.7
    assert "size" in rows[0] and "size" not in rounded(rows)[0], "an empty column is left out"
    times, gates = remarks(rows)
    assert times.startswith("Measured while other processes used the CPU") and ": busy." in times
    assert gates == "Not on a front, because a gate failed: failed."


def test_every_kind_of_photos_has_a_front_of_its_own() -> None:
    other = replace(tiny_report(), lineage=replace(tiny_report().lineage, data=DataSource("other", None)))
    alone = replace(other, lineage=replace(other.lineage, data=DataSource("a third", None)))
    reports = {"a": tiny_report(), "c": tiny_report(), "b": other, "d": other, "alone": alone}
    reports["failed"] = tiny_report(passed=False)
    drawn = fronts(table(reports))
    assert list(drawn) == ["tiny, validation photos", "other, validation photos"]
    assert ">a<" in drawn["tiny, validation photos"] and ">b<" not in drawn["tiny, validation photos"]
    assert not any(">failed<" in picture for picture in drawn.values())


def test_the_page_shows_runs_and_the_front(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(runs / "d", tiny_report())
    main(["runs", str(runs), "--format", "html"])
    page = capsys.readouterr().out
    assert page.startswith("<!doctype html>") and "<svg" in page and "b/T4" in page
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
