"""Time, size and memory of artefacts on this machine."""

import json

import pytest

from m2fp_kd import cli
from m2fp_kd.cli import bench
from m2fp_kd.cli.bench import Timed, slower_int8


def timed(weights, engine, ms):
    return Timed(weights, weights, engine, "f32", ms, ms, 100, 50, 1)


def test_a_warning_names_each_engine_that_runs_int8_slower():
    rows = [timed("fp32", "openvino", 9), timed("int8", "openvino", 6)]
    rows += [timed("fp32", "onnxruntime", 10), timed("int8", "onnxruntime", 14), timed("int8", "torch_export", 99)]
    assert slower_int8(rows) == ["onnxruntime runs INT8 slower than fp32 on this machine: 14.0 ms and 10.0 ms"]
    assert slower_int8([]) == []


def test_every_engine_is_measured_and_the_fastest_one_picked(artefact, monkeypatch, capsys):
    pytest.importorskip("openvino"), pytest.importorskip("onnxruntime")
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    folder = str(artefact())
    assert cli.main(["bench", folder, "--threads", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in rows} == {"openvino", "onnxruntime"}
    assert all(0 < row["p50_ms"] < row["first_ms"] and row["peak_mb"] > 10 for row in rows)
    assert [row["p50_ms"] for row in rows] == sorted(row["p50_ms"] for row in rows)
    assert cli.main(["bench", folder, "--threads", "1", "--pick"]) == 0
    assert capsys.readouterr().out.startswith(f"--artefact {folder} --engine o")


def test_a_missing_artefact_is_named(tmp_path, capsys):
    assert cli.main(["bench", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such artefact" in capsys.readouterr().err


def test_missing_photos_are_named_before_anything_is_measured(tmp_path, capsys):
    assert cli.main(["bench", "--photos", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"m2fp-kd: --photos {tmp_path / 'nowhere'}: no such photo or folder\n"
