import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from m2fp_kd.compress.int8.onnx_passes import (
    activations_to_uint8,
    inline_identities,
    remove_unread,
    shorten_names,
    weights_to_int8,
)


def _model(nodes: list, constants: dict[str, np.ndarray], shape: list[int]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _run(model: ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def _constants(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _two_layers() -> tuple[ModelProto, np.ndarray]:
    """Build a convolution and a matrix product with distinct weights per channel, and their input."""
    rng = np.random.default_rng(0)
    constants = {
        "conv.weight": rng.normal(0, 1, (40, 8, 2, 2)).astype(np.float32) * np.logspace(-2, 2, 40)[:, None, None, None],
        "conv.bias": rng.normal(0, 1, 40).astype(np.float32),
        "linear.weight": rng.normal(0, 1, (3, 500)).astype(np.float32) * np.logspace(-2, 2, 500),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["maps"], "conv"),
        helper.make_node("MatMul", ["maps", "linear.weight"], ["y"], "linear"),
    ]
    x = rng.normal(0, 1, (1, 8, 5, 4)).astype(np.float32)
    return _model(nodes, {name: values.astype(np.float32) for name, values in constants.items()}, [1, 8, 5, 4]), x


@pytest.mark.parametrize("zero_point", [-128, -7, 0, 127])
def test_shifting_a_quantiser_to_uint8_changes_no_value(zero_point: int) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    model = _model(nodes, {"scale": np.float32(0.037), "zero": np.int8(zero_point)}, [1001])
    x = np.linspace(-12, 12, 1001, dtype=np.float32)
    before = _run(model, x)
    activations_to_uint8(model)
    assert _constants(model)["zero"].dtype == np.uint8
    np.testing.assert_array_equal(_run(model, x), before)


def test_weights_behind_identities_are_shared_and_vectors_are_copied() -> None:
    rng = np.random.default_rng(0)
    constants = {"weight": rng.normal(size=(4, 4)).astype(np.float32), "bias": rng.normal(size=4).astype(np.float32)}
    nodes = [
        helper.make_node("Identity", ["weight"], ["weight2"], "same_weight"),
        helper.make_node("Identity", ["bias"], ["bias2"], "same_bias"),
        helper.make_node("Gemm", ["x", "weight", "bias"], ["h"], "first"),
        helper.make_node("Gemm", ["h", "weight2", "bias2"], ["y"], "second"),
    ]
    model = _model(nodes, constants, [2, 4])
    x = rng.normal(size=(2, 4)).astype(np.float32)
    before = _run(model, x)
    inline_identities(model)
    first, second = model.graph.node
    assert (first.op_type, second.op_type) == ("Gemm", "Gemm")
    assert first.input[1] == second.input[1] == "weight"
    assert first.input[2] != second.input[2]  # correcting one layer's bias must not change the other's
    np.testing.assert_array_equal(_run(model, x), before)


def test_float_weights_become_int8_with_a_scale_per_output_channel() -> None:
    model, x = _two_layers()
    weights, before = _constants(model), _run(model, x)
    weights_to_int8(model)
    stored = _constants(model)
    assert "conv.weight" not in stored and "linear.weight" not in stored
    for name, axis in (("conv.weight", 0), ("linear.weight", 1)):
        values, scale = stored[f"{name}_int8"], stored[f"{name}_scale"]
        assert values.dtype == np.int8
        others = tuple(other for other in range(values.ndim) if other != axis)
        np.testing.assert_array_equal(np.abs(values.astype(int)).max(axis=others), 127)
        np.testing.assert_allclose(scale, np.abs(weights[name]).max(axis=others) / 127, rtol=1e-6)
        scale = np.expand_dims(scale, others)
        assert (np.abs(values * scale - weights[name]) <= 0.5001 * scale).all()
    assert stored["conv.bias"].dtype == np.float32
    after = _run(model, x)
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()


def test_small_weights_stay_float() -> None:
    model = _model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.eye(4, dtype=np.float32)}, [2, 4])
    before = model.SerializeToString()
    weights_to_int8(model)
    assert model.SerializeToString() == before


def test_a_weight_of_zeros_stays_zero() -> None:
    weight = np.zeros((32, 64), np.float32)
    weight[:, 1:] = 1
    model = _model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, [2, 32])
    weights_to_int8(model)
    x = np.ones((2, 32), np.float32)
    np.testing.assert_allclose(_run(model, x), x @ weight, rtol=1e-6)


def test_unused_nodes_and_constants_are_removed() -> None:
    nodes = [
        helper.make_node("Add", ["x", "unread"], ["a"]),
        helper.make_node("Add", ["a", "unread"], ["b"]),
        helper.make_node("Mul", ["x", "read"], ["y"]),
    ]
    model = _model(nodes, {"unread": np.ones(3, np.float32), "read": np.ones(3, np.float32)}, [3])
    remove_unread(model)
    assert [node.op_type for node in model.graph.node] == ["Mul"]
    assert list(_constants(model)) == ["read"]


def test_short_names_change_neither_results_nor_the_names_of_layers() -> None:
    model, x = _two_layers()
    weights_to_int8(model)
    before, size = _run(model, x), model.ByteSize()
    shorten_names(model)
    np.testing.assert_array_equal(_run(model, x), before)
    assert [node.name for node in model.graph.node if node.name] == ["conv", "linear"]
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("x", "y")
    assert model.ByteSize() < size
