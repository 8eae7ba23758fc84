"""Quantise fp32 ONNX to static INT8: one QDQ ONNX file that both OpenVINO and ONNX Runtime run."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto
from pydantic.dataclasses import dataclass

from m2fp_kd.compress.export.capabilities import NETWORKS
from m2fp_kd.compress.export.onnx import write_artefact
from m2fp_kd.compress.int8.onnx_passes import (
    activations_to_uint8,
    inline_identities,
    reached,
    shorten_names,
    weights_to_int8,
)
from m2fp_kd.compress.options import STRICT, Count, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card

QUERY_OUTPUTS = ("class_logits", "mask_logits")


def quantise_static(fp32: str | Path, canvases: Iterable[NDArray[np.uint8]], int8: str | Path, card: Card) -> None:
    """Quantise an exported network with NNCF's post-training quantisation.

    Weights are symmetric int8 with one scale per channel (one per tensor ruins MobileNetV3), within half the range
    (except depthwise ones) so that sums overflow on no CPU. Activations are asymmetric uint8 with one scale per tensor:
    ONNX Runtime is 2 to 3 times slower with int8 activations, and cannot run its fused convolutions with one activation
    scale per channel. Ranges minimise the squared error over a histogram of all photos' values. NNCF's default, the
    mean of each photo's extremes, clips the activations of deep layers and cost MobileNetV3s up to 0.7 points of mIoU;
    histograms cost 0.1. Layers that NNCF leaves float compute in float with int8 weights. The same canvases give the
    same graph.

    Args:
        fp32: file written by `export_onnx`.
        canvases: uint8 (N, h, w, 3) batches of placed training photos, about 300 in total.
        int8: file to write.
        card: card of the INT8 artefact.

    Raises:
        ValueError: there are no canvases.
    """
    model = post_training_int8(load_for_int8(fp32), single_images(canvases))
    shorten_names(model)
    write_artefact(model, int8, card)


def load_for_int8(fp32: str | Path) -> ModelProto:
    """Load an exported network and make every node read its weights directly."""
    model = onnx.load(fp32)
    inline_identities(model)
    return model


def single_images(canvases: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Split batches of canvases, uint8 (N, h, w, 3), into canvases of one photo each.

    Raises:
        ValueError: there are no canvases.
    """
    images = [canvas[None] for batch in canvases for canvas in batch]
    if not images:
        raise ValueError("INT8 is calibrated on training photos, but there are none; check the data")
    return images


def post_training_int8(model: ModelProto, images: list[NDArray[np.uint8]]) -> ModelProto:
    """Quantise a network; nodes and tensors keep the names of the float graph.

    Args:
        model: graph from `load_for_int8`; it is not changed.
        images: canvases of one photo each.
    """
    quantised = _nncf_quantise(model, images)
    activations_to_uint8(quantised)
    weights_to_int8(quantised)
    return quantised


def float_nodes(model: ModelProto) -> list[str]:
    """Return the names of the nodes that stay float.

    These are the normalisation, and the final resize and argmax, because 8-bit logits would tie at the borders of
    parts. In networks with queries these are also: everything after the queries; every resize, because OpenVINO's INT8
    resize is wrong for dynamic sizes; and everything between the linear layers of tokens, because attention masks hold
    minus infinity, which no scale represents, and sampling, sums and transposes are slower in INT8 than in float.
    """
    nodes = model.graph.node
    normalisation = reached(nodes, {value.name for value in model.graph.input}, until=("Conv",))
    queries = {value.name for value in model.graph.output} & set(QUERY_OUTPUTS)
    if not queries:
        return _names([*normalisation, *_chain_to(nodes, "part_map", ("Cast", "ArgMax", "Resize"))])
    resizes = [node for node in nodes if node.op_type == "Resize"]
    return _names([*normalisation, *reached(nodes, queries), *resizes, *_between_layers(model)])


def _names(nodes: Iterable[NodeProto]) -> list[str]:
    return sorted({node.name for node in nodes})


def _between_layers(model: ModelProto) -> list[NodeProto]:
    """Return the nodes without weights between the conversion of feature maps to tokens and the next convolution."""
    weights = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    tokens = {value.name for value in inferred if len(value.type.tensor_type.shape.dim) == 3}
    after = reached(model.graph.node, tokens, until=("Conv",))
    return [node for node in after if node.op_type not in ("MatMul", "Gemm") or not weights.intersection(node.input)]


def _nncf_quantise(model: ModelProto, images: list[NDArray[np.uint8]]) -> ModelProto:
    os.environ.setdefault("NNCF_CI", "1")  # turns off NNCF's telemetry; must be set before the import
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # notes a missing GPU while NNCF is imported
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        OverflowFix,
        QuantizationParameters,
    )
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # Progress bars stay. nncf.set_log_level would also raise the level of handlers that other loggers share.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf.quantize(
        model,
        nncf.Dataset(images, lambda image: {"images": image}),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(names=float_nodes(model)),
        advanced_parameters=AdvancedQuantizationParameters(
            # CPUs without VNNI add pairs of products in 16 bits, which overflow with full 8-bit weights: the same file
            # would give other results there.
            overflow_fix=OverflowFix.ENABLE,
            activations_quantization_params=QuantizationParameters(per_channel=False),
            activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM,
        ),
    )


def _chain_to(nodes: Iterable[NodeProto], tensor: str, operations: tuple[str, ...]) -> list[NodeProto]:
    """Return the last nodes before `tensor`, followed back along first inputs while they are in `operations`."""
    producers = {output: node for node in nodes for output in node.output}
    chain: list[NodeProto] = []
    while (node := producers.get(tensor)) is not None and node.op_type in operations:
        chain.append(node)
        tensor = node.input[0]
    return chain


@dataclass(frozen=True, config=STRICT)
class StaticInt8:
    """Quantise the export to static INT8.

    Attributes:
        name: name of the artefact.
        calibration_photos: number of training photos to calibrate on.
    """

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8"
    calibration_photos: Count = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        card = source.int8_card("nncf", "onnxruntime")
        quantise_static(source.exported, source.canvases(self.calibration_photos), path, card)
        return path
