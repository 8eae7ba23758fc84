import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.onnx_passes import SMALLEST_WEIGHT
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import canvases, tiny_m2fp_student


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _dequantised(model: onnx.ModelProto) -> set[str]:
    return {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}


def test_weights_are_int8_with_a_scale_per_channel(int8: Path) -> None:
    model = onnx.load(int8)
    constants = _constants(model)
    weights = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(weights) == len(convolutions) == 4
    assert all(set(node.input[:2]) <= _dequantised(model) for node in convolutions)
    for node in weights:
        values, scales = constants[node.input[0]], constants[node.input[1]]
        assert values.dtype == np.int8
        depthwise = values.ndim == 4 and values.shape[1] == 1
        assert np.abs(values.astype(int)).max() == (127 if depthwise else 64)  # two products of 255 x 64 fit 16 bits
        assert scales.shape == (len(values),)
        assert len(np.unique(scales)) > 1


def test_activations_are_uint8_with_one_scale(int8: Path) -> None:
    model = onnx.load(int8)
    constants = _constants(model)
    activations = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert activations
    for node in activations:
        assert constants[node.input[1]].size == 1
        assert constants[node.input[2]].dtype == np.uint8


def test_activations_of_few_photos_are_not_clipped(fp32: Path, card: Card, tmp_path: Path) -> None:
    bright = canvases(range(8))
    grey = [np.full_like(canvas, 110) for canvas in bright]
    quantise_static(fp32, [*bright, *grey], tmp_path / "model.onnx", card)
    model = onnx.load(tmp_path / "model.onnx")
    constants = _constants(model)
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    scale, zero = (constants[name].astype(float) for name in first.input[1:])
    largest = Normalise()(torch.from_numpy(np.concatenate(bright)).permute(0, 3, 1, 2)).max().item()
    assert 0.9 * largest < scale * (255 - zero) < 1.1 * largest


def test_normalisation_resize_and_argmax_stay_float(int8: Path) -> None:
    model = onnx.load(int8)
    dequantised = _dequantised(model)
    floats = [node for node in model.graph.node if node.op_type in ("Sub", "Div", "Resize", "ArgMax")]
    assert len(floats) == 4
    assert not any(dequantised.intersection(node.input) for node in floats)


def test_both_engines_agree_with_the_fp32_model(fp32: Path, int8: Path, photos) -> None:
    parsers = [
        Parser.load(fp32, threads=1),
        Parser.load(int8, "openvino", threads=1),
        Parser.load(int8, "onnxruntime", threads=1),
    ]
    maps = [np.stack([parser(photo.image).part_map for photo in photos]) for parser in parsers]
    truth = np.stack([photo.parts for photo in photos])
    assert (maps[0] == truth).mean() > 0.9  # the trained student is accurate enough to lose accuracy
    assert (maps[1] == maps[0]).mean() > 0.98
    assert (maps[2] == maps[1]).mean() > 0.99


def test_quantising_leaves_the_level_of_every_handler(
    fp32: Path, card: Card, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quantise_static(fp32, canvases(range(2)), tmp_path / "model.onnx", card)  # pytest's handler is NNCF's as well
    logging.getLogger("m2fp_kd.any").warning("after compression")
    assert caplog.messages[-1] == "after compression"


def test_same_canvases_give_the_same_file(fp32: Path, card: Card, tmp_path: Path) -> None:
    files = []
    for name in ("first", "second"):
        files.append(tmp_path / name / "model.onnx")
        quantise_static(fp32, canvases(range(4)), files[-1], replace(card, precision="int8"))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_batches_equal_their_single_canvases(fp32: Path, card: Card, int8: Path, tmp_path: Path) -> None:
    batched = [np.concatenate(canvases(range(200, 216)))]
    quantise_static(fp32, batched, tmp_path / "model.onnx", replace(card, precision="int8"))
    assert (tmp_path / "model.onnx").read_bytes() == int8.read_bytes()


def test_interrupted_quantisation_leaves_no_file(fp32, card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(model: onnx.ModelProto, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quantise_static(fp32, canvases(range(2)), tmp_path / "model.onnx", replace(card, precision="int8"))
    assert list(tmp_path.iterdir()) == []


def test_calibrating_without_photos_is_an_error(fp32: Path, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training photos"):
        quantise_static(fp32, [], tmp_path / "model.onnx", card)


def _assert_no_float_weight(model: onnx.ModelProto) -> None:
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            weights = [constants[name] for name in node.input[:2] if name in constants]
            assert all(weight.size < SMALLEST_WEIGHT for weight in weights), node.name
        assert node.op_type != "QuantizeLinear" or node.input[0] not in constants


def test_squeeze_excite_weights_are_int8(tmp_path: Path) -> None:
    torch.manual_seed(0)
    labels = LABEL_SETS["cihp"]
    student = FPNStudent(build_backbone("mobilenetv3_small"), labels.num_parts).eval()
    card = Card(labels.to_dict(), {"size": 64}, "fp32", "fpn")
    fp32, int8 = tmp_path / "fp32" / "model.onnx", tmp_path / "int8" / "model.onnx"
    export_onnx(student, fp32, card)
    batches = canvases(range(2))
    quantise_static(fp32, batches, int8, replace(card, precision="int8"))
    model = onnx.load(int8)
    _assert_no_float_weight(model)
    excite = [node for node in model.graph.node if "/se/" in node.name and node.op_type == "Conv"]
    dequantised = _dequantised(model)
    assert len(excite) == 18
    assert not any(node.input[0] in dequantised for node in excite)  # the arithmetic stays float
    assert int8.stat().st_size <= 0.29 * fp32.stat().st_size
    maps = [open_engine(int8, engine, threads=1)(batches[0])["part_map"] for engine in ("openvino", "onnxruntime")]
    assert maps[0].shape == maps[1].shape == (1, 64, 64)
    assert (maps[0] == maps[1]).mean() > 0.95


def test_attention_masks_and_everything_after_the_queries_stay_float(tmp_path: Path) -> None:
    torch.manual_seed(0)
    labels = LABEL_SETS["pascal_person_part"]
    student = tiny_m2fp_student(labels)
    card = Card(labels.to_dict(), {"size": 64}, "fp32", "m2fp")
    export_onnx(student, tmp_path / "fp32" / "model.onnx", card)
    batches = canvases(range(6))
    quantise_static(
        tmp_path / "fp32" / "model.onnx", batches, tmp_path / "int8" / "model.onnx", replace(card, precision="int8")
    )
    model = onnx.load(tmp_path / "int8" / "model.onnx")
    assert all(np.isfinite(values).all() for values in _constants(model).values())
    _assert_no_float_weight(model)
    dequantised = _dequantised(model)
    floats = [node for node in model.graph.node if node.op_type in ("Softmax", "LogSoftmax", "Exp", "Log", "Einsum")]
    assert floats
    assert not any(dequantised.intersection(node.input) for node in floats)
    fp32, int8 = (open_engine(tmp_path / name / "model.onnx", threads=1)(batches[0]) for name in ("fp32", "int8"))
    for name in ("class_logits", "mask_logits"):
        assert np.abs(int8[name] - fp32[name]).mean() < 0.1 * np.abs(fp32[name]).mean()
