"""Time, size and memory of artefacts on this machine."""

import json

import numpy as np
import pytest

from m2fp_kd import cli
from m2fp_kd.cli import bench
from m2fp_kd.cli.bench import Timed, slower_int8
from m2fp_kd.runtime.artefact import load_card, save_card
from tests.evaluation.tiny import write_artefact, write_stripes


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


def take_green_for_blue(path):
    """Let a model give part 1 where it gave part 2."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    cast = model.graph.node[-1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.int64), "one"))
    model.graph.node.insert(2, onnx.helper.make_node("Min", [cast.input[0], "one"], ["limited"]))
    cast.input[0] = "limited"
    card = load_card(path)
    onnx.save(model, path)
    save_card(path, card)


def test_scores_and_agreement_with_the_first_artefact(tmp_path, monkeypatch, capsys):
    """Stripes that one artefact parses perfectly, and another that takes green for blue."""
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    monkeypatch.setattr("m2fp_kd.runtime.engines.engines_for", lambda model: ["onnxruntime"])
    right, wrong = write_artefact(tmp_path / "right"), write_artefact(tmp_path / "wrong")
    take_green_for_blue(wrong / "model.onnx")
    write_stripes(tmp_path / "data", "Testing", 2)
    arguments = [str(right), str(wrong), "--data", str(tmp_path / "data"), "--threads", "1"]
    assert cli.main(["bench", *arguments, "--json"]) == 0
    rows = {row["artefact"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows[str(right)]["miou"], rows[str(right)]["agreement"]) == (1, 1)
    assert rows[str(wrong)]["miou"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert rows[str(wrong)]["agreement"] == pytest.approx(2 / 3)
    assert cli.main(["bench", *arguments]) == 0
    table = capsys.readouterr().out
    assert "mIoU  agree  artefact" in table and " 50.00  66.67  " in table


def test_missing_labels_are_named_before_anything_is_measured(tmp_path, capsys):
    assert cli.main(["bench", "--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert cli.main(["bench", "--limit", "3"]) == 2
    assert "--limit is the number of photos of --data DIR" in capsys.readouterr().err
