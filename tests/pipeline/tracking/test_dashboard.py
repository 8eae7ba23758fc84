"""The dashboard as sent to W&B: it shows what runs log; errors name what is missing."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from m2fp_kd.labels import load_label_set
from m2fp_kd.pipeline.tracking.dashboard import build, main
from m2fp_kd.versions import install_hint
from tests.pipeline.tracking.conftest import OfflineRun

PARTS = load_label_set("cihp").parts


def panels() -> list[dict[str, Any]]:
    """Return all panels of the dashboard as sent to W&B."""
    spec = build("we", "m2fp-kd", PARTS)._to_model().model_dump(by_alias=True, exclude_none=True)["spec"]
    return [panel for section in spec["section"]["panelBankConfig"]["sections"] for panel in section["panels"]]


def of_type(kind: str) -> list[dict[str, Any]]:
    """Return the settings of the panels of a type."""
    return [panel["config"] for panel in panels() if panel["viewType"] == kind]


def test_it_shows_curves_bars_pareto_fronts_and_the_importance_of_settings() -> None:
    kinds = [panel["viewType"] for panel in panels()]
    assert {"Run Comparer", "Parallel Coordinates Plot", "Media Browser"} <= set(kinds)
    assert of_type("Run History Line Plot")[0]["metrics"] == ["val/mIoU"]
    pareto = of_type("Scatter Plot")[0]
    assert (pareto["xAxis"], pareto["yAxis"]) == ("summary:shipped/p50_ms", "summary:shipped/mIoU")
    assert pareto["showMaxYAxisLine"], "the highest so far, from the left: the front"
    assert of_type("Bar Chart")[0]["metrics"] == [f"shipped/IoU/{part}" for part in PARTS]
    assert of_type("Parameter Importance")[0]["targetKey"] == "val/mIoU"


def test_every_panel_shows_what_runs_log(offline: OfflineRun) -> None:
    logged = {key for step in offline.record.history for key in step}
    summary = {f"summary:{key}" for key in offline.record.summary}
    curves = of_type("Run History Line Plot")
    assert {key for panel in curves for key in panel["metrics"]} <= logged
    assert {panel["xAxis"] for panel in curves} == {"trainer/global_step"} <= logged
    for pattern in filter(None, (panel.get("metricRegex") for panel in curves)):
        assert len([key for key in logged if re.fullmatch(pattern, key)]) == len(PARTS)
    for panel in of_type("Scatter Plot"):
        assert {panel["xAxis"], panel["yAxis"]} <= summary
    measured = [part for part, value in offline.report.models["student_int8"].iou.items() if value is not None]
    assert {f"shipped/IoU/{part}" for part in measured} <= set(of_type("Bar Chart")[0]["metrics"])
    for column in of_type("Parallel Coordinates Plot")[0]["columns"]:
        section, name = column["accessor"].split(":")
        if section == "config":
            key, rest = name.split(".value")
            value = offline.record.config[key]
            for inner in rest.split(".")[1:]:
                value = value[inner]
            assert value is not None
        else:
            assert column["accessor"] in summary
    for key in of_type("Media Browser")[0]["mediaKeys"]:
        assert f"{key}._type" in logged
    for panel in of_type("Weave"):
        (table,) = re.findall(r'"val": "(\w+)"', json.dumps(panel))
        assert f"{table}._type" in logged


def test_a_missing_login_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["--labels", "cihp", "--entity", "we"])
    assert "No API key configured. Use `wandb login` to log in." in capsys.readouterr().err


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(SystemExit, match="2"):
        main(["--labels", "cihp"])
    assert f"wandb_workspaces is not installed: {install_hint('train')}" in capsys.readouterr().err
