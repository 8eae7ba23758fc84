"""Find the INT8 layers of a quantised graph, and restore the float weights and inputs of some of them."""

from collections.abc import Collection

from onnx import ModelProto, NodeProto

from m2fp_kd.compress.int8.onnx_passes import remove_unread

CARRIERS = ("Concat", "Flatten", "MaxPool", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
"""Operations that only pass quantised values through."""

Layers = dict[str, list[str]]
"""Name of a layer's node -> nodes that are float when the layer is: the node itself and the carriers before it."""


def quantised_layers(model: ModelProto) -> Layers:
    """Return the layers that read quantised activations or weights, in execution order."""
    producers = {output: node for node in model.graph.node for output in node.output}
    layers = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Shape", *CARRIERS):
            continue
        members = [node, *_carriers_before(node, producers)]
        if any(_reads_quantised(member, producers) for member in members):
            layers[node.name] = [member.name for member in members]
    return layers


def with_float_layers(quantised: ModelProto, network: ModelProto, names: Collection[str]) -> ModelProto:
    """Return a copy of a quantised graph with some nodes of the float graph, including their uncorrected biases.

    Args:
        quantised: graph that still has the names of `network`.
        network: float graph.
        names: names of the nodes to restore. Shape operations read float tensors as well, so that no quantiser remains
            only for them.
    """
    model = ModelProto()
    model.CopyFrom(quantised)
    originals = {node.name: node for node in network.graph.node}
    read: set[str] = set()
    for node in model.graph.node:
        if node.name in names or node.op_type == "Shape":
            node.CopyFrom(originals[node.name])
            read.update(node.input)
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name in read]:
        model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(tensor for tensor in network.graph.initializer if tensor.name in read)
    remove_unread(model)
    return model


def _carriers_before(node: NodeProto, producers: dict[str, NodeProto]) -> list[NodeProto]:
    found: list[NodeProto] = []
    waiting = list(node.input)
    while waiting:
        before = producers.get(waiting.pop())
        if before is not None and before.op_type in CARRIERS and before not in found:
            found.append(before)
            waiting.extend(before.input)
    return found


def _reads_quantised(node: NodeProto, producers: dict[str, NodeProto]) -> bool:
    return any(name in producers and producers[name].op_type == "DequantizeLinear" for name in node.input)
