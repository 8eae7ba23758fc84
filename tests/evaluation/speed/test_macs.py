import json
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.evaluation.speed.macs import Macs, Peak, count_macs, main, product_macs

onnx = pytest.importorskip("onnx", reason="counting operations needs the compress extra")
pytest.importorskip("onnxruntime", reason="counting operations needs the serve extra")
helper, types = onnx.helper, onnx.TensorProto


def write_network(path: Path, int8: bool) -> None:
    """Images (N, H, W, 3) -> 3x3 convolution to 4 channels at the same size -> matrix product (W, W) by (W, 5)."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=types.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    values = {"weight": random.normal(size=(4, 3, 3, 3)).astype(np.float32)}
    factors = ["planes", "weight"]
    if int8:
        values = {
            "weight": random.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8),
            "scale": np.float32(0.1),
            "zero": np.uint8(0),
            "weight zero": np.int8(0),
        }
        nodes += [
            helper.make_node("QuantizeLinear", ["planes", "scale", "zero"], ["steps"]),
            helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["planes again"]),
            helper.make_node("DequantizeLinear", ["weight", "scale", "weight zero"], ["float weight"]),
        ]
        factors = ["planes again", "float weight"]
    values["matrix"] = random.normal(size=(8, 5)).astype(np.float32)
    nodes += [
        helper.make_node("Conv", factors, ["sums"], pads=[1] * 4),
        helper.make_node("MatMul", ["sums", "matrix"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", types.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("out", types.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_float_products_are_counted_from_the_shapes(tmp_path: Path) -> None:
    write_network(tmp_path / "model.onnx", int8=False)
    convolution, product = 4 * 6 * 8 * 3 * 9, 4 * 6 * 5 * 8
    assert count_macs(tmp_path / "model.onnx", (6, 8)) == Macs(convolution + product, 0)


def test_products_of_two_dequantised_factors_count_as_int8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_network(tmp_path / "model.onnx", int8=True)
    main([str(tmp_path / "model.onnx"), "--canvas", "6", "8"])
    assert json.loads(capsys.readouterr().out) == {"floating": 4 * 6 * 5 * 8, "int8": 4 * 6 * 8 * 3 * 9}


@pytest.mark.parametrize(
    ("operation", "attributes", "left", "right", "result", "expected"),
    [
        ("Conv", {"group": 6}, (1, 6, 10, 10), (6, 1, 3, 3), (1, 6, 5, 5), 6 * 25 * 9),  # depthwise, stride 2
        ("Conv", {}, (2, 6, 10, 10), (4, 6, 1, 1), (2, 4, 10, 10), 2 * 4 * 100 * 6),
        ("ConvInteger", {}, (1, 6, 10, 10), (4, 6, 1, 1), (1, 4, 10, 10), 4 * 100 * 6),
        ("ConvTranspose", {}, (1, 6, 5, 5), (6, 4, 2, 2), (1, 4, 10, 10), 6 * 25 * 4 * 4),
        ("Gemm", {}, (7, 3), (3, 5), (7, 5), 7 * 3 * 5),
        ("Gemm", {"transA": 1}, (3, 7), (3, 5), (7, 5), 7 * 3 * 5),
        ("Gemm", {"transB": 1}, (7, 3), (5, 3), (7, 5), 7 * 3 * 5),
        ("MatMul", {}, (2, 8, 7, 3), (2, 8, 3, 5), (2, 8, 7, 5), 16 * 7 * 3 * 5),
        ("MatMulInteger", {}, (7, 3), (3, 5), (7, 5), 7 * 3 * 5),
    ],
)
def test_products_in_closed_form(operation, attributes, left, right, result, expected) -> None:
    node = helper.make_node(operation, ["a", "b"], ["c"], **attributes)
    assert product_macs(node, left, right, result) == expected


def test_least_time_adds_both_kinds() -> None:
    macs = Macs(floating=30, int8=80)
    assert macs.total == 110
    assert macs.least_ms(Peak(floating=1e3, int8=4e3)) == pytest.approx(30 + 20)
