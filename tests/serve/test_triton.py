"""Model repositories have the layout that their servers read."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from m2fp_kd import cli
from m2fp_kd.cli.export import SERVERS
from m2fp_kd.runtime.artefact import load_card, save_card
from m2fp_kd.serve import triton

onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")

TYPES = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}


def test_the_command_offers_every_server():
    assert set(SERVERS) == set(triton.SERVERS)


@pytest.mark.parametrize("which", ["artefact", "people_artefact"])
def test_tritons_configuration_matches_the_graph(which, request, tmp_path):
    made = request.getfixturevalue(which)
    folder = made() if callable(made) else made
    graph = onnx.load(folder / "model.onnx").graph
    card = load_card(folder / "model.onnx")
    save_card(folder / "model.onnx", replace(card, outputs=[output.name for output in graph.output]))
    assert cli.main(["export", "triton", "-a", str(folder), "-o", str(tmp_path / "models")]) == 0
    text = (tmp_path / "models" / "parser" / "config.pbtxt").read_text()
    tensors = re.findall(r'\{ name: "(\w+)" data_type: (\w+) dims: \[ ([-\d, ]+) \] \}', text)
    described = {name: (TYPES[kind], [int(size) for size in sizes.split(",")]) for name, kind, sizes in tensors}
    assert list(described) == [tensor.name for tensor in (*graph.input, *graph.output)]
    for tensor in (*graph.input, *graph.output):
        kind, sizes = described[tensor.name]
        real = [axis.dim_value or -1 for axis in tensor.type.tensor_type.shape.dim]
        assert kind == tensor.type.tensor_type.elem_type and len(sizes) == len(real)
        assert all(stated in (-1, size) for stated, size in zip(sizes, real, strict=True))
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    copied = (tmp_path / "models" / "parser" / "1" / "model.onnx").read_bytes()
    assert copied == (folder / "model.onnx").read_bytes()


def test_openvino_model_server_gets_a_model_that_openvino_runs(artefact, tmp_path):
    openvino = pytest.importorskip("openvino")
    assert cli.main(["export", "openvino-model-server", "-a", str(artefact()), "-o", str(tmp_path)]) == 0
    (entry,) = json.loads((tmp_path / "config.json").read_text())["model_config_list"]
    model = tmp_path / entry["config"]["base_path"].removeprefix("/models/") / "1" / "model.onnx"
    photo = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    found = openvino.compile_model(model, "CPU")(photo)
    np.testing.assert_array_equal(found["part_map"], photo.argmax(axis=3))


def test_a_file_that_the_server_does_not_run_is_refused(artefact, tmp_path, capsys):
    folder = artefact()
    card = load_card(folder / "model.onnx")
    other = tmp_path / "other" / "model.pt"
    other.parent.mkdir()
    other.write_bytes(b"torchscript")
    save_card(other, card)
    for server in SERVERS:
        assert cli.main(["export", server, "-a", str(other), "-o", str(tmp_path / "models")]) == 2
        assert "; pass " in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
