import re
from dataclasses import replace
from pathlib import Path

import pytest

from m2fp_kd.evaluation.report import write_report
from m2fp_kd.evaluation.results import ModelResult
from tests.evaluation.reports import tiny_report

nbformat = pytest.importorskip("nbformat", reason="needs the dev extra")
nbclient = pytest.importorskip("nbclient", reason="needs the dev extra")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "analysis.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_committed_without_outputs_or_paths_of_a_machine(notebook) -> None:
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", cell.source)


def test_runs_on_reports(notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(tmp_path / "new", replace(tiny_report(seed=1), created="2026-02-02T00:00:00+00:00"))
    write_report(tmp_path / "old", tiny_report(seed=0))
    labels_only = replace(tiny_report(), models={"student_fp32": ModelResult(miou=0.4)}, curves={}, pictures=[])
    write_report(tmp_path / "older", replace(labels_only, created="2020-01-01T00:00:00+00:00"))
    monkeypatch.setenv("M2FP_KD_RUNS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type in ("stream", "error")]
    shown = [output.data for output in outputs]
    table = next(data["text/markdown"] for data in shown if "text/markdown" in data)
    assert table.count("\n") == 4 and "| new |" in table
    assert sum("image/png" in data for data in shown) == 3
    assert sum("image/jpeg" in data for data in shown) == 2  # the newest run's pictures
