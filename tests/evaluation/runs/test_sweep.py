"""The table of a sweep."""

import csv
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from m2fp_kd.evaluation.report.report import write_report
from m2fp_kd.evaluation.runs.sweep import SWEEP, ResultsTable
from m2fp_kd.evaluation.runs.sweep_tables import print_tables
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


@pytest.fixture(autouse=True)
def nothing_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sweeps of these tests from printing when the tests end."""
    monkeypatch.setattr("m2fp_kd.evaluation.runs.sweep.atexit.register", lambda *_: None)
    monkeypatch.setenv(SWEEP, "none")


def finished(folder: Path, name: str, *overrides: str, mode: RunMode = RunMode.MULTIRUN):
    hydra = {"mode": mode, "sweep": {"dir": str(folder)}, "overrides": {"task": list(overrides)}}
    return OmegaConf.create({"run_dir": str(folder / name), "hydra": hydra})


def rows_of(folder: Path, kind: str = "sweep") -> list[dict[str, str]]:
    """The rows of the only table in a folder."""
    (path,) = folder.glob(f"{kind}-*.csv")
    return list(csv.DictReader(path.open()))


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the text that the sweep in a folder prints when its process exits."""
    capsys.readouterr()
    (jobs,) = folder.glob("sweep-*.jsonl")
    print_tables(jobs)
    return capsys.readouterr().out


def test_every_job_with_a_report_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ResultsTable()
    table.on_multirun_start(finished(tmp_path, "any"))
    for name in ("first", "failed-early", "second"):
        if name != "failed-early":
            write_report(tmp_path / name, tiny_report())
        table.on_job_end(finished(tmp_path, name), None)
    rows = rows_of(tmp_path)
    assert [row["run"] for row in rows] == ["first", "second"]
    assert float(rows[0]["val mIoU %"]) == 100 * 0.4321 and rows[0]["backbone"] == "resnet18"
    assert float(rows[0]["mIoU %"]) == 100 * tiny_report().models["student_int8"].miou
    assert [row["photos"] for row in rows] == ["2", "2"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("finished first: mIoU % ")
    shown = printed(tmp_path, capsys)
    assert "| first | tiny | resnet18 |" in shown and "| 43.2 |" in shown and "failed-early" not in shown


def test_every_swept_key_is_a_column(tmp_path: Path) -> None:
    table = ResultsTable()
    table.on_multirun_start(finished(tmp_path, "any"))
    for name, size, rest in (("a", 256, ["distill=kl"]), ("b", 512, ["distill=kl"]), ("c", 512, ["+lr=1e-3"])):
        write_report(tmp_path / name, tiny_report())
        table.on_job_end(finished(tmp_path, name, f"data.size={size}", "seed=3", *rest), None)
    rows = rows_of(tmp_path)
    assert list(rows[0])[:4] == ["run", "data.size", "distill", "lr"]
    assert [(row["data.size"], row["distill"], row["lr"]) for row in rows] == [
        ("256", "kl", ""), ("512", "kl", ""), ("512", "", "1e-3")
    ]  # fmt: skip


def test_a_second_sweep_keeps_the_files_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        minute_of_now = 0

        @classmethod
        def now(cls, tz=None):
            cls.minute_of_now += 1
            return datetime(2026, 1, 2, 3, cls.minute_of_now)

    monkeypatch.setattr("m2fp_kd.evaluation.runs.sweep.datetime", Clock)
    for name in ("first", "second"):
        table = ResultsTable()
        table.on_multirun_start(finished(tmp_path, "any"))
        write_report(tmp_path / name, tiny_report())
        table.on_job_end(finished(tmp_path, name), None)
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == [
        "sweep-2026-01-02-030100.csv", "sweep-2026-01-02-030200.csv"
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "mode"), [("gone", RunMode.MULTIRUN), ("there", RunMode.RUN)])
def test_without_a_report_or_a_sweep_nothing_is_written(tmp_path: Path, name: str, mode: RunMode) -> None:
    write_report(tmp_path / "there", tiny_report())
    ResultsTable().on_multirun_start(finished(tmp_path, "any"))
    ResultsTable().on_job_end(finished(tmp_path, name, mode=mode), None)
    assert not list(tmp_path.glob("*.csv"))


def test_gains_over_a_twin_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = ResultsTable()
    table.on_multirun_start(finished(tmp_path, "any"))
    report = replace(tiny_report(), config={"stage": "train"})
    objective = ObjectiveSummary({"ce": 1.0}, (), temperature=4.0)
    write_report(tmp_path / "twin", replace(report, lineage=replace(report.lineage, objective=objective)))
    write_report(tmp_path / "distilled", report)
    for job in ("twin", "distilled"):
        table.on_job_end(finished(tmp_path, job), None)
    rows = rows_of(tmp_path, "gains")
    assert [row["gain"] for row in rows] == ["", "+0.00 (one seed)"]
    assert "teacher minus twin" in printed(tmp_path, capsys)


def test_jobs_of_other_processes_are_in_the_table(tmp_path: Path) -> None:
    ResultsTable().on_multirun_start(finished(tmp_path, "any"))
    for name in ("first", "second"):
        write_report(tmp_path / name, tiny_report())
        ResultsTable().on_job_end(finished(tmp_path, name), None)
    assert len(rows_of(tmp_path)) == 2


def test_a_failed_job_does_not_remove_others_from_the_table(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.format(root=str(ROOT), source=str(ROOT / "src")))
    command = [sys.executable, str(app), "-m", "job=a,fails,b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "a gate failed" in done.stderr
    rows = rows_of(tmp_path / "runs")
    assert [row["run"] for row in rows] == ["a", "b"]
    assert list(rows[0])[:2] == ["run", "job"]
    shown = done.stdout.splitlines()
    assert [line.split(":")[0] for line in shown if line.startswith("finished")] == ["finished a", "finished b"]
    assert [line[:9] for line in shown if line.startswith("| ")] == ["| run | j", "| --- | -", "| a | a |", "| b | b |"]
    assert done.stdout.rstrip().splitlines()[-1].startswith("full precision: runs/sweep-")
