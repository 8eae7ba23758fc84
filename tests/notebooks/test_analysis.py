import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from m2fp_kd.evaluation.metrics.reliability import BINS, Reliability
from m2fp_kd.evaluation.report.report import write_report
from m2fp_kd.evaluation.report.results import ModelResult, RunReport
from m2fp_kd.runtime.provenance import Lineage, ObjectiveSummary
from notebooks.execute import execute
from tests.evaluation.reports import tiny_pictures, tiny_report

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "analysis.ipynb"
MOST_BYTES = 1_500_000
FIGURES = ("Learning curves", "Temperature and alpha", "IoU per part of one run", "Calibration")
"""Headings with one figure each."""
RELIABILITY = Reliability([4] * BINS, [0.5] * BINS, [*[0.4] * (BINS - 1), None], ece=0.123)


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def headed(notebook: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the data of the outputs below each heading."""
    shown: dict[str, list[dict[str, Any]]] = {}
    heading = ""
    for cell in notebook.cells:
        found = re.findall(r"^#+ (.+)", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []
        heading = found[-1] if found else heading
        shown.setdefault(heading, []).extend(output.data for output in cell.get("outputs", []) if "data" in output)
    return shown


def count(data: list[dict[str, Any]], kind: str) -> int:
    return sum(kind in one for one in data)


def test_committed_outputs_are_of_one_execution(notebook: Any) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert {output.output_type for output in outputs_of(notebook)} <= {"execute_result", "display_data"}
    shown = headed(notebook)
    assert count(shown["Accuracy against speed"], "image/svg+xml") == 1
    for heading in (*FIGURES, "Gain over labels alone"):
        assert count(shown[heading], "image/png") == 1, heading
    assert count(shown["Pictures of that run"], "image/jpeg") == 6


def test_committed_notebook_is_small_and_holds_no_local_paths() -> None:
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    text = re.sub(r'"image/(png|jpeg)": "[^"]*"', "", NOTEBOOK.read_text(encoding="utf-8"))
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|mnt|opt)/", text)


def test_committed_outputs_are_of_the_sample(notebook: Any) -> None:
    same, rows = headed(notebook)["Results"]
    assert ": data sample, " in same["text/markdown"] and "| data |" not in rows["text/markdown"]


def test_notebook_shows_all_figures_of_several_reports(
    notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for alpha in (0.3, 0.7):
        for temperature in (1.0, 4.0):
            terms = {"kl": alpha, "ce": 1 - alpha}
            objective = ObjectiveSummary(terms, ("kl",), alpha, temperature)
            write_report(tmp_path / f"a{alpha}-T{temperature}", trained(objective))
    labels_only = ObjectiveSummary({"ce": 1.0}, (), 0.0, 4.0)
    write_report(tmp_path / "twin", trained(labels_only))
    newest = replace(tiny_report(stage="compress"), created="2026-02-02T00:00:00+00:00")
    models = {key: replace(model, reliability=RELIABILITY) for key, model in newest.models.items()}
    write_report(tmp_path / "new", replace(newest, models=models), tiny_pictures())

    shown = headed(executed(notebook, tmp_path, monkeypatch))
    same, results = (data["text/markdown"] for data in shown["Results"])
    assert "backbone resnet18" in same and "MB 8.0" in same
    assert results.count("\n") == 7 and "| new |" in results and "| 12.3 |" in results
    assert count(shown["Accuracy against speed"], "image/svg+xml") == 1
    gain, heat_map = shown["Gain over labels alone"]
    assert gain["text/markdown"].count("+0.00 (one seed)") == 4 and "image/png" in heat_map
    for heading in FIGURES:
        assert count(shown[heading], "image/png") == 1, heading
    assert count(shown["Pictures of that run"], "image/jpeg") == 2  # the newest run's


def test_notebook_runs_on_a_minimal_report(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report with one score and nothing else."""
    bare = replace(tiny_report(), models={"student_fp32": ModelResult(miou=0.4)}, lineage=Lineage(), curves={})
    write_report(tmp_path / "bare", bare)
    shown = headed(executed(notebook, tmp_path, monkeypatch))
    assert "| bare |" in shown["Results"][0]["text/markdown"]
    assert shown["Temperature and alpha"] == shown["Accuracy against speed"] == []


def trained(objective: ObjectiveSummary) -> RunReport:
    report = tiny_report(stage="train")
    return replace(report, lineage=replace(report.lineage, objective=objective))


def executed(notebook: Any, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Execute the notebook on other runs than the committed ones and check that it prints no warning or error."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    execute(notebook, NOTEBOOK.parent, runs)
    assert not [output for output in outputs_of(notebook) if output.output_type in ("stream", "error")]
    return notebook
