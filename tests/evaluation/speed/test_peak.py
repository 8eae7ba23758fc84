import pytest

onnx = pytest.importorskip("onnx", reason="measuring the peak needs the compress extra")
pytest.importorskip("onnxruntime", reason="measuring the peak needs the serve extra")

from m2fp_kd.evaluation.speed import peak  # noqa: E402
from m2fp_kd.evaluation.speed.macs import product_macs  # noqa: E402


@pytest.mark.parametrize("int8", [False, True])
def test_the_chain_has_the_declared_number_of_macs(int8: bool) -> None:
    model = peak.convolutions(int8)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer} | {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in [*inferred.input, *inferred.value_info]
    }
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    macs = [product_macs(node, *(shapes[name] for name in (*node.input, *node.output))) for node in convolutions]
    assert sum(macs) == peak.MACS
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    assert all((makers.get(name) == "DequantizeLinear") == int8 for node in convolutions for name in node.input)


def test_speed_is_operations_over_the_fastest_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "convolutions", lambda int8: small_chain)
    small_chain = identity()
    seconds = iter([0.5, 0.25, 1, 0.125])
    monkeypatch.setattr(peak, "_seconds", lambda chain, images: next(seconds))
    assert peak.measure_peak("onnxruntime", threads=1, runs=2) == peak.Peak(peak.MACS / 0.25, peak.MACS / 0.125)


def identity() -> "onnx.ModelProto":
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, peak.CHANNELS, peak.SIDE, peak.SIDE])
        for name in ("images", "same")
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["images"], ["same"])], "i", *[[v] for v in values]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
