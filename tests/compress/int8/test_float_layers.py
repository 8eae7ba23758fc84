import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from m2fp_kd.compress.int8.float_layers import quantised_layers, with_float_layers
from m2fp_kd.compress.int8.static import load_for_int8, post_training_int8, single_images
from tests.compress.colour_student import canvases

LAYERS = [*(f"/student/layers/layers.{index}/Conv" for index in (0, 3, 6)), "/student/classifier/Conv"]


@pytest.fixture(scope="module")
def graphs(fp32) -> tuple[ModelProto, ModelProto]:
    """Return the colour student's float graph and its quantised graph."""
    network = load_for_int8(fp32)
    return network, post_training_int8(network, single_images(canvases(range(200, 208))))


def _run(model: ModelProto, output: str) -> np.ndarray:
    """Compute a tensor inside a network for one canvas."""
    model = ModelProto.FromString(model.SerializeToString())
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([output], {"images": canvases(range(1))[0]})[0]


def _constants(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _node(model: ModelProto, name: str):
    return next(node for node in model.graph.node if node.name == name)


def test_layers_are_named_as_in_the_float_graph_and_listed_in_order(graphs) -> None:
    layers = quantised_layers(graphs[1])
    assert [name for name in layers if name.endswith("Conv")] == LAYERS
    assert layers[LAYERS[1]] == [LAYERS[1]]


def test_with_all_layers_float_the_network_equals_the_float_one(graphs) -> None:
    network, quantised = graphs
    names = {node for members in quantised_layers(quantised).values() for node in members}
    reverted = with_float_layers(quantised, network, names)
    assert not any(node.op_type.endswith("quantizeLinear") for node in reverted.graph.node)
    logits = _node(network, LAYERS[-1]).output[0]
    np.testing.assert_array_equal(_run(reverted, logits), _run(network, logits))
    assert np.abs(_run(quantised, logits) - _run(network, logits)).max() > 0


def test_a_float_layer_gets_its_weights_and_bias_without_changing_others(graphs) -> None:
    network, quantised = graphs
    before = quantised.SerializeToString()
    reverted = with_float_layers(quantised, network, [LAYERS[1]])
    assert quantised.SerializeToString() == before
    original, layer = _node(network, LAYERS[1]), _node(reverted, LAYERS[1])
    assert layer == original
    for name in original.input[1:]:
        np.testing.assert_array_equal(_constants(reverted)[name], _constants(network)[name])
    assert LAYERS[1] not in quantised_layers(reverted)
    assert set(quantised_layers(reverted)) == set(quantised_layers(quantised)) - {LAYERS[1]}


def test_carriers_belong_to_the_layer_after_them() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("MaxPool", ["dq"], ["pooled"], "pool", kernel_shape=[2, 2]),
        helper.make_node("Conv", ["pooled", "weight"], ["y"], "conv"),
    ]
    shape = [1, 1, 4, 4]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "graph", values[:1], values[1:]))
    assert quantised_layers(model) == {"conv": ["conv", "pool"]}
