"""The table of a sweep."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from m2fp_kd.evaluation.report.report import write_report
from m2fp_kd.evaluation.runs.sweep import ResultsTable
from m2fp_kd.runtime.provenance import ObjectiveSummary
from tests.evaluation.reports import tiny_report

ROOT = Path(__file__).parents[3]

APP = """
import sys
sys.path[:0] = [{root!r}, {source!r}]
from pathlib import Path
import hydra
from hydra.core.config_store import ConfigStore
from tests.evaluation.reports import tiny_report
from m2fp_kd.evaluation.report.report import write_report

ConfigStore.instance().store("config", {{
    "job": "a", "run_dir": "runs/${{job}}",
    "hydra": {{
        "sweep": {{"dir": "runs"}},
        "callbacks": {{"results": {{"_target_": "m2fp_kd.evaluation.runs.sweep.ResultsTable"}}}},
    }},
}})

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg):
    if cfg.job == "fails":
        raise ValueError("a gate failed")
    write_report(Path(cfg.run_dir), tiny_report())

main()
"""


def finished(folder: Path, name: str, mode: RunMode = RunMode.MULTIRUN):
    return OmegaConf.create({"run_dir": str(folder / name), "hydra": {"mode": mode, "sweep": {"dir": str(folder)}}})


def test_every_job_with_a_report_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ResultsTable()
    table.on_multirun_start(finished(tmp_path, "any"))
    for name in ("first", "failed-early", "second"):
        if name != "failed-early":
            write_report(tmp_path / name, tiny_report())
        table.on_job_end(finished(tmp_path, name), None)
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [row["run"] for row in rows] == ["first", "second"]
    assert rows[0]["val mIoU %"] == "43.2" and rows[0]["backbone"] == "resnet18"
    printed = capsys.readouterr().out
    assert "| first | tiny | resnet18 |" in printed and "failed-early" not in printed


@pytest.mark.parametrize(("name", "mode"), [("gone", RunMode.MULTIRUN), ("there", RunMode.RUN)])
def test_without_a_report_or_a_sweep_nothing_is_written(tmp_path: Path, name: str, mode: RunMode) -> None:
    write_report(tmp_path / "there", tiny_report())
    ResultsTable().on_job_end(finished(tmp_path, name, mode), None)
    assert not (tmp_path / "sweep.csv").exists()


def test_gains_over_a_twin_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ResultsTable()
    table.on_multirun_start(finished(tmp_path, "any"))
    report = replace(tiny_report(), config={"stage": "train"})
    objective = ObjectiveSummary({"ce": 1.0}, (), temperature=4.0)
    write_report(tmp_path / "twin", replace(report, lineage=replace(report.lineage, objective=objective)))
    write_report(tmp_path / "distilled", report)
    for job in ("twin", "distilled"):
        table.on_job_end(finished(tmp_path, job), None)
    rows = list(csv.DictReader((tmp_path / "gains.csv").open()))
    assert [row["gain"] for row in rows] == ["", "+0.00 (one seed)"]
    assert "teacher minus twin" in capsys.readouterr().out


def test_jobs_of_other_processes_are_in_the_table(tmp_path: Path) -> None:
    ResultsTable().on_multirun_start(finished(tmp_path, "any"))
    for name in ("first", "second"):
        write_report(tmp_path / name, tiny_report())
        ResultsTable().on_job_end(finished(tmp_path, name), None)
    assert len((tmp_path / "sweep.csv").read_text().splitlines()) == 3


def test_a_failed_job_does_not_remove_others_from_the_table(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.format(root=str(ROOT), source=str(ROOT / "src")))
    command = [sys.executable, str(app), "-m", "job=a,fails,b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "a gate failed" in done.stderr
    rows = list(csv.DictReader((tmp_path / "runs" / "sweep.csv").open()))
    assert [row["run"] for row in rows] == ["a", "b"]
    assert done.stdout.rstrip().splitlines()[-1].startswith("| b |")
