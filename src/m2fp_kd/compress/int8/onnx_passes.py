"""Passes over an ONNX graph before and after quantisation; they work in place and keep its function."""

from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SMALLEST_WEIGHT = 1024
"""Fewest values of a weight; for smaller ones a DequantizeLinear and its scales take the space that int8 saves."""


def inline_identities(model: ModelProto) -> None:
    """Make nodes read a repeated constant directly instead of through an Identity.

    The exporter writes equal constants once. Behind an Identity a weight would count as an activation: it would be
    stored as float and quantised at every run, with one scale. Vectors are copied instead, because NNCF corrects biases
    in place, which must not change another layer's bias.
    """
    constants = _constants(model)
    ends = {value.name for value in model.graph.output}
    idle = [
        node
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in constants and node.output[0] not in ends
    ]
    shared = {}
    for node in idle:
        source, target = node.input[0], node.output[0]
        if len(constants[source].dims) > 1:
            shared[target] = source
        else:
            model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(constants[source]), target))
        model.graph.node.remove(node)
    rename_inputs(model, shared)


def activations_to_uint8(model: ModelProto) -> None:
    """Shift int8 activation quantisers by 128 to uint8, which engines run fastest; the values do not change.

    NNCF always writes activations with negative values as int8. Inferred shapes and types of intermediate tensors are
    dropped, because they would now be wrong.
    """
    constants = _constants(model)
    quantisers = [
        node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    ]
    for name in {node.input[2] for node in quantisers}:
        zero_point = numpy_helper.to_array(constants[name])
        if zero_point.dtype == np.int8:
            shifted = (zero_point.astype(np.int16) + 128).astype(np.uint8)
            constants[name].CopyFrom(numpy_helper.from_array(shifted, name))
    del model.graph.value_info[:]


def weights_to_int8(model: ModelProto) -> None:
    """Store the remaining float weights as int8 with one scale per output channel; the arithmetic stays float.

    These are the weights of squeeze-excite blocks, which NNCF does not quantise (1.5 of MobileNetV3's 3.2 million
    weights), and of nodes excluded from quantisation. They are symmetric in the full range -127..127, because nothing
    is summed in 8 bits.
    """
    constants = _constants(model)
    weights = {
        node.input[1]: _output_axis(node, constants[node.input[1]])
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul") and _is_weight(constants.get(node.input[1]))
    }
    dequantisers = []
    for name, axis in weights.items():
        values = numpy_helper.to_array(constants[name])
        scale = symmetric_scale(values, axis, levels=127)
        stored = np.rint(values / scale).astype(np.int8)
        model.graph.initializer.extend(
            [numpy_helper.from_array(stored, f"{name}_int8"), numpy_helper.from_array(scale.ravel(), f"{name}_scale")]
        )
        dequantisers.append(
            helper.make_node(
                "DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [f"{name}_float"], f"{name}/DQ", axis=axis
            )
        )
    rename_inputs(model, {name: f"{name}_float" for name in weights})
    for dequantiser in dequantisers:
        model.graph.node.insert(0, dequantiser)
    remove_unread(model)


def symmetric_scale(weight: np.ndarray, axis: int, levels: float) -> np.ndarray:
    """Return the scales that map each channel's largest weight to `levels`: float32, 1 along all axes but `axis`."""
    largest = np.abs(weight).max(axis=tuple(other for other in range(weight.ndim) if other != axis), keepdims=True)
    return np.where(largest > 0, largest / np.float32(levels), 1).astype(np.float32)


def remove_unread(model: ModelProto) -> None:
    """Remove nodes and constants that no output depends on."""
    graph = model.graph
    read = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if read.intersection(node.output):
            read.update(node.input)
        else:
            graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def shorten_names(model: ModelProto) -> None:
    """Shorten the names of inner tensors and remove those of quantisers, a sixth of a small INT8 file.

    Layers keep their names, which reports use.
    """
    ends = {value.name for value in [*model.graph.input, *model.graph.output]}
    short = {"": ""} | {name: name for name in ends}
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = short.setdefault(name, f"t{len(short)}")
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant"):
            node.ClearField("name")
    for tensor in model.graph.initializer:
        tensor.name = short[tensor.name]
    del model.graph.value_info[:]


def rename_inputs(model: ModelProto, names: dict[str, str]) -> None:
    """Make every node that reads a key of `names` read its value instead."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)


def reached(nodes: Iterable[NodeProto], tensors: set[str], until: tuple[str, ...] = ()) -> list[NodeProto]:
    """Return the nodes that depend on `tensors`, up to the operations in `until`; `nodes` are topologically sorted."""
    known, found = set(tensors), []
    for node in nodes:
        if node.op_type not in until and known.intersection(node.input):
            found.append(node)
            known.update(node.output)
    return found


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def _is_weight(tensor: TensorProto | None) -> bool:
    return tensor is not None and tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALLEST_WEIGHT


def _output_axis(node: NodeProto, weight: TensorProto) -> int:
    """Return the axis of a weight that holds the output channels."""
    if node.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if transposed else len(weight.dims) - 1
