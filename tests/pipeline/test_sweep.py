"""The table at the end of a sweep."""

import csv
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from m2fp_kd.evaluation.report import write_report
from m2fp_kd.pipeline.sweep import ResultsTable
from tests.evaluation.reports import tiny_report


def test_every_job_with_a_report_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ResultsTable()
    for name in ("first", "failed-early", "second"):
        if name != "failed-early":
            write_report(tmp_path / name, tiny_report())
        table.on_job_end(OmegaConf.create({"run_dir": str(tmp_path / name)}), None)
    table.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["run"] for row in rows] == ["first", "second"]
    assert rows[0]["val mIoU %"] == "43.2" and rows[0]["backbone"] == "resnet18"
    printed = capsys.readouterr().out
    assert "| first | resnet18 |" in printed and "failed-early" not in printed


def test_without_any_report_nothing_is_written(tmp_path: Path) -> None:
    table = ResultsTable()
    table.on_job_end(OmegaConf.create({"run_dir": str(tmp_path / "gone")}), None)
    table.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert not (tmp_path / "sweep.csv").exists()
