"""The packaged demo at another input size, in INT8 and in fp32, without training anything."""

from dataclasses import replace
from pathlib import Path

import onnx

from m2fp_kd import DEMO
from m2fp_kd.runtime.artefact import load_card, save_card


def smaller_demo(folder: Path, size: int, precision: str) -> Path:
    """Write the demo as an artefact of another input size and precision, and return its model file.

    In fp32 the weights keep the values that INT8 gave them, and activations are no longer rounded.
    """
    card = load_card(DEMO / "model.onnx")
    graph = onnx.load(DEMO / "model.onnx")
    for side in graph.graph.input[0].type.tensor_type.shape.dim[1:3]:
        side.dim_value = size
    if precision == "fp32":
        _drop_rounding(graph.graph)
    folder.mkdir(parents=True)
    model = folder / "model.onnx"
    onnx.save(graph, model)
    save_card(model, replace(card, geometry={"size": size, "fixed": True}, precision=precision))
    return model


def _drop_rounding(graph: onnx.GraphProto) -> None:
    """Connect what follows a pair of QuantizeLinear and DequantizeLinear with what precedes it."""
    rounded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: rounded[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounded
    }
    for node in graph.node:
        for place, name in enumerate(node.input):
            while name in exact:
                name = exact[name]
            node.input[place] = name
    needed, nodes = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)
