from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.dynamic import quantise_dynamic, quantise_linears
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.attention import Attention
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.engines import open_engine
from tests.compress.colour_student import canvases, tiny_m2fp_student

LABELS = LABEL_SETS["pascal_person_part"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Export a mask-classification student in fp32 and in dynamic INT8."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dynamic")
    fp32, int8 = folder / "fp32" / "model.onnx", folder / "int8" / "model.onnx"
    card = Card(LABELS.to_dict(), {"size": 64}, "fp32", "m2fp")
    export_onnx(tiny_m2fp_student(LABELS), fp32, card)
    quantise_dynamic(fp32, int8, replace(card, precision="int8"))
    return fp32, int8


def test_products_with_weights_are_integer_and_convolutions_float(files: tuple[Path, Path]) -> None:
    fp32, int8 = (onnx.load(path).graph for path in files)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in int8.initializer}
    before = {tensor.name for tensor in fp32.initializer}
    before |= {node.output[0] for node in fp32.node if node.op_type == "Identity" and node.input[0] in before}
    products = [node for node in fp32.node if node.op_type == "MatMul"]
    with_weights = [node for node in products if node.input[1] in before]
    integer = [node for node in int8.node if node.op_type == "MatMulInteger"]
    assert 0 < len(integer) == len(with_weights) < len(products)
    for node in integer:
        weight, zero_point = constants[node.input[1]], constants[node.input[3]]
        assert weight.dtype == np.int8
        assert np.abs(weight.astype(int)).max() <= 64  # two products of 255 x 64 fit 16 bits
        assert zero_point.shape == (weight.shape[1],)  # one scale per output channel
    assert sum(node.op_type == "Conv" for node in int8.node) == sum(node.op_type == "Conv" for node in fp32.node)
    assert not any(node.op_type == "ConvInteger" for node in int8.node)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_engines_nearly_agree_with_fp32(files: tuple[Path, Path], engine: str) -> None:
    images = np.concatenate(canvases(range(3)))
    fp32, int8 = (open_engine(path, engine, threads=1)(images) for path in files)
    for name in ("class_logits", "mask_logits"):
        difference = np.abs(int8[name] - fp32[name]).mean()
        assert 0 < difference < 0.1 * np.abs(fp32[name]).mean()


def test_a_per_pixel_student_is_refused(fp32: Path, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use static INT8"):
        quantise_dynamic(fp32, tmp_path / "model.onnx", replace(card, precision="int8"))
    assert not (tmp_path / "model.onnx").exists()


def _is_int8(layer: nn.Module) -> bool:
    return isinstance(layer, torch.ao.nn.quantized.dynamic.Linear) and layer.weight().dtype == torch.qint8


def test_attention_in_int8_nearly_agrees_with_float() -> None:
    torch.manual_seed(0)
    attention = Attention(32, 4).eval()
    quantised = quantise_linears(attention)
    layers = [getattr(quantised, name) for name in ("query", "key", "value", "out")]
    assert all(_is_int8(layer) for layer in layers)
    assert all(layer.weight().qscheme() == torch.per_channel_affine for layer in layers)
    assert isinstance(attention.query, nn.Linear)  # the original does not change
    queries, keys, attend = torch.randn(2, 6, 32), torch.randn(2, 9, 32), torch.rand(2, 6, 9) > 0.2
    with torch.inference_mode():
        expected, found = (net(queries, keys, keys, attend) for net in (attention, quantised))
        traced = torch.jit.freeze(torch.jit.trace(quantised, (queries, keys, keys, attend)))
        assert torch.equal(traced(queries, keys, keys, attend), found)
    assert 0 < (found - expected).abs().mean() < 0.06 * expected.abs().mean()


def test_every_linear_of_a_student_becomes_int8() -> None:
    torch.manual_seed(0)
    student = tiny_m2fp_student(LABELS)
    count = sum(isinstance(layer, nn.Linear) for layer in student.modules())
    quantised = quantise_linears(student)
    assert sum(_is_int8(layer) for layer in quantised.modules()) == count > 8
    images = torch.from_numpy(canvases(range(1))[0]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected, found = (net(images).queries.mask_logits for net in (student, quantised))
    assert 0 < (found - expected).abs().mean() < 0.1 * expected.abs().mean()


def test_a_module_without_linear_layers_is_refused(student: nn.Module) -> None:
    with pytest.raises(ValueError, match="use static INT8"):
        quantise_linears(student)
