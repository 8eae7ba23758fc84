import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx.reference
import pytest
import torch
from torch import nn

from m2fp_kd.compress.chain import torch_parse
from m2fp_kd.compress.export.deployable import Deployable
from m2fp_kd.compress.export.onnx import export_onnx, remove_idle_casts
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.part_map import upsampled_argmax
from tests.compress.colour_student import tiny_m2fp_student

CIHP = LABEL_SETS["cihp"]


def _canvases(batch: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def _network_outputs(student: nn.Module, head: str, canvases: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [output.numpy() for output in Deployable(nn.Identity(), student, head)(torch.from_numpy(canvases))]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_the_artefact_agrees_with_the_student(engine, student, card, fp32, photos) -> None:
    parser, parse = Parser.load(fp32, engine, threads=1), torch_parse(student, card)
    for photo in photos:
        assert (parser(photo.image).part_map == parse(photo.image)).mean() > 0.999


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("fixed", "scale"), [(True, 1), (False, 1), (False, 0.625)])
def test_fpn_student_exports_with_a_dynamic_batch_and_dynamic_sides(
    engine: str, fixed: bool, scale: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    student = FPNStudent(build_backbone("mobilenetv3_small"), CIHP.num_parts, width=32, scale=scale).eval()
    model = tmp_path / "model.onnx"
    export_onnx(student, model, Card(CIHP.to_dict(), {"size": 64, "fixed": fixed}, "fp32", "fpn"))
    run = open_engine(model, engine, threads=1)
    for canvases in [_canvases(1), _canvases(3)] + ([] if fixed else [_canvases(2, 96, 32)]):
        expected, logits = _network_outputs(student, "fpn", canvases)
        found = run(canvases)
        assert (found["part_map"] == expected).mean() > 0.999
        np.testing.assert_allclose(found["part_logits"], logits, rtol=1e-4, atol=1e-4)
        assert (found["part_map"] == [upsampled_argmax(one) for one in found["part_logits"]]).mean() > 0.9999


def test_an_m2fp_student_exports_its_queries(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = tiny_m2fp_student(CIHP)
    model = tmp_path / "model.onnx"
    export_onnx(student, model, Card(CIHP.to_dict(), {"size": 64}, "fp32", "m2fp"))
    run = open_engine(model, threads=1)
    for canvases in (_canvases(1), _canvases(3)):
        part_map, _, class_logits, mask_logits = _network_outputs(student, "m2fp", canvases)
        found = run(canvases)
        assert (found["part_map"] == part_map).mean() > 0.999
        np.testing.assert_allclose(found["class_logits"], class_logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["mask_logits"], mask_logits, rtol=1e-4, atol=1e-4)


def test_the_graph_holds_normalisation_and_all_weights_but_no_batchnorm(fp32: Path) -> None:
    model = onnx.load(fp32, load_external_data=False)
    operations = {node.op_type for node in model.graph.node}
    assert {"Sub", "Div", "Conv", "Resize", "ArgMax"} <= operations
    assert "BatchNormalization" not in operations
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_card_is_embedded_and_written_beside_the_model(fp32: Path, card: Card, tmp_path: Path) -> None:
    assert json.loads((fp32.parent / "card.json").read_text())["head"] == "fpn"
    lonely = tmp_path / "copied.onnx"
    lonely.write_bytes(fp32.read_bytes())
    outputs = ["part_map", "part_logits"]
    assert load_card(lonely) == load_card(fp32) == replace(card, outputs=outputs)


def test_exporting_does_not_change_the_student(card: Card, student: nn.Module, tmp_path: Path) -> None:
    student.train()
    try:
        before = {name: value.clone() for name, value in student.state_dict().items()}
        export_onnx(student, tmp_path / "model.onnx", card)
        assert all(module.training for module in student.modules())
        assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    finally:
        student.eval()


def test_interrupted_export_leaves_no_file(student, card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(model: onnx.ModelProto, path: Path) -> None:
        Path(path).write_bytes(model.SerializeToString()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_onnx(student, tmp_path / "fp32" / "model.onnx", card)
    assert list((tmp_path / "fp32").iterdir()) == []


def test_idle_casts_are_removed_and_outputs_keep_their_names() -> None:
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["x"], ["same"], to=types.FLOAT),
        helper.make_node("Relu", ["same"], ["y"]),
        helper.make_node("Neg", ["y"], ["other"]),
        helper.make_node("Cast", ["y"], ["result"], to=types.FLOAT),
        helper.make_node("Cast", ["other"], ["integer"], to=types.INT32),
    ]
    outputs = [helper.make_tensor_value_info("result", types.FLOAT, [2])]
    outputs.append(helper.make_tensor_value_info("integer", types.INT32, [2]))
    graph = helper.make_graph(nodes, "casts", [helper.make_tensor_value_info("x", types.FLOAT, [2])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    remove_idle_casts(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Neg", "Cast"]
    found = onnx.reference.ReferenceEvaluator(model).run(None, {"x": np.array([-1.0, 2.5], np.float32)})
    np.testing.assert_array_equal(found[0], [0.0, 2.5])
    np.testing.assert_array_equal(found[1], [0, -2])
