"""fp32 ONNX -> static INT8: one QDQ ONNX file that OpenVINO and ONNX Runtime both run."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from m2fp_kd.compress.export import write_artefact
from m2fp_kd.runtime.artefact import Card

QUERY_OUTPUTS = ("class_logits", "mask_logits")


def quantise_static(fp32: str | Path, canvases: Iterable[NDArray[np.uint8]], int8: str | Path, card: Card) -> None:
    """Quantise an exported network with NNCF's post-training quantisation.

    Weights are symmetric int8 with one scale per channel (one per tensor ruins MobileNetV3), kept within half the range
    (but for depthwise ones) so that sums overflow on no CPU. Activations are asymmetric uint8, one scale per tensor:
    ONNX Runtime is 2 to 3 times slower with int8 activations and cannot run its fused convolutions with one activation
    scale per channel. The same canvases give the same graph.

    Args:
        fp32: file written by `export_onnx`.
        canvases: uint8 (N, h, w, 3) batches of placed training photos, 300 or so in all.
        int8: file to write.
        card: of the INT8 artefact.

    Raises:
        ValueError: no canvases.
    """
    images = [canvas[None] for batch in canvases for canvas in batch]
    if not images:
        raise ValueError("INT8 needs training photos to calibrate on; there are none")
    model = _post_training_quantisation(onnx.load(fp32), images)
    activations_to_uint8(model)
    write_artefact(model, int8, card)


def float_nodes(model: ModelProto) -> list[str]:
    """Names of the nodes that stay float.

    They are the normalisation, the final resize and argmax (eight bits of a logit are ties at a part's border), all
    that follows the queries, and attention masks up to the softmax (their minus infinity has no scale).
    """
    nodes = model.graph.node
    normalisation = _reached(nodes, {value.name for value in model.graph.input}, until=("Conv",))
    comparisons = {output for node in nodes if node.op_type in ("GreaterOrEqual", "Less") for output in node.output}
    masks = _reached(nodes, comparisons, until=("MatMul",))
    queries = {value.name for value in model.graph.output} & set(QUERY_OUTPUTS)
    tail = _reached(nodes, queries) if queries else _chain_to(nodes, "part_map", ("Cast", "ArgMax", "Resize"))
    return sorted({node.name for node in [*normalisation, *masks, *tail]})


def activations_to_uint8(model: ModelProto) -> None:
    """Shift int8 activation quantisers by 128, to the uint8 that engines are fastest with; the values stay the same.

    NNCF writes an activation that has negative values as int8 whatever it is asked for. Inferred shapes and types of
    intermediate tensors are dropped, as they would now be wrong.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    quantisers = [
        node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    ]
    for name in {node.input[2] for node in quantisers}:
        zero_point = numpy_helper.to_array(constants[name])
        if zero_point.dtype == np.int8:
            shifted = (zero_point.astype(np.int16) + 128).astype(np.uint8)
            constants[name].CopyFrom(numpy_helper.from_array(shifted, name))
    del model.graph.value_info[:]


def _post_training_quantisation(model: ModelProto, images: list[NDArray[np.uint8]]) -> ModelProto:
    os.environ.setdefault("NNCF_CI", "1")  # NNCF reports its use to its maker unless this is set before the import
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        OverflowFix,
        QuantizationParameters,
    )

    nncf.set_log_level(logging.ERROR)  # progress bars stay
    return nncf.quantize(
        model,
        nncf.Dataset(images, lambda image: {"images": image}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=float_nodes(model)),
        advanced_parameters=AdvancedQuantizationParameters(
            # CPUs without VNNI add pairs of products in 16 bits, where full 8-bit weights overflow: the same file then
            # answers differently there.
            overflow_fix=OverflowFix.ENABLE,
            activations_quantization_params=QuantizationParameters(per_channel=False),
        ),
    )


def _reached(nodes: Iterable[NodeProto], tensors: set[str], until: tuple[str, ...] = ()) -> list[NodeProto]:
    """Nodes that depend on `tensors`, not looking past the operations in `until`; `nodes` are in topological order."""
    known, found = set(tensors), []
    for node in nodes:
        if node.op_type not in until and known.intersection(node.input):
            found.append(node)
            known.update(node.output)
    return found


def _chain_to(nodes: Iterable[NodeProto], tensor: str, operations: tuple[str, ...]) -> list[NodeProto]:
    """The last nodes before `tensor`, back along first inputs for as long as they are one of `operations`."""
    producers = {output: node for node in nodes for output in node.output}
    chain: list[NodeProto] = []
    while (node := producers.get(tensor)) is not None and node.op_type in operations:
        chain.append(node)
        tensor = node.input[0]
    return chain
