"""Quantise by torchao's PT2E for XNNPACK to an INT8 ExecuTorch `.pte` file."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import nn
from torch.fx import GraphModule, Node

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.device import example_canvas, for_device
from m2fp_kd.compress.export.executorch import write_program
from m2fp_kd.compress.int8.static import single_images
from m2fp_kd.compress.options import STRICT, Count, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card

SMALLEST_SCALE = 2**-15
"""Smallest scale of weights. XNNPACK's default, 2^-12, coarsens the small weights of folded BatchNorms; a much smaller
one would let the biases of channels with hardly any weight overflow their 32 bits."""

CLAMPS = (torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default)
"""ReLU6 in an exported graph."""


@torch.no_grad()
def quantise_executorch(
    network: nn.Module, canvases: Iterable[NDArray[np.uint8]], path: str | Path, card: Card
) -> None:
    """Quantise a network to static INT8 and write it as an ExecuTorch program, with `card.json` beside it.

    Convolutions have int8 weights, symmetric with one scale per channel; activations are int8 with one scale per
    tensor.

    Args:
        network: student or M2FP.
        canvases: uint8 (N, h, w, 3) batches of placed training photos of the card's geometry, about 300 in total.
        path: `.pte` file to write.
        card: card of the INT8 artefact.

    Raises:
        Unsupported: this network cannot be quantised for ExecuTorch.
        ValueError: there are no canvases.
    """
    require(Cell("executorch", "int8", kind_of(network, card), card.geometry["fixed"]))
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    images = [torch.from_numpy(image) for image in single_images(canvases)]
    module, example = for_device(network, card), (example_canvas(card),)
    observed = prepare_pt2e(torch.export.export(module, example).module(), _quantizer())
    for image in images:
        observed(image)
    write_program(torch.export.export(convert_pt2e(observed), example), module.outputs, path, card)


def _quantizer() -> Any:
    """Return XNNPACK's quantiser, taught to see a convolution with ReLU6 as one operation.

    It knows ReLU only, and would round a convolution's result over its whole range, of which ReLU6 keeps 0 to 6.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver

    config = get_symmetric_quantization_config(is_per_channel=True)
    assert config.weight is not None
    observer = PerChannelMinMaxObserver.with_args(eps=SMALLEST_SCALE)
    config = replace(config, weight=replace(config.weight, observer_or_fake_quant_ctr=observer))

    class Quantizer(XNNPACKQuantizer):
        def annotate(self, model: GraphModule) -> GraphModule:
            for node in model.graph.nodes:
                if node.target in CLAMPS and node.args[0].target is torch.ops.aten.conv2d.default:
                    _annotate(node.args[0], node, config)
            return super().annotate(model)

    return Quantizer().set_global(config)


def _annotate(convolution: Node, clamp: Node, config: Any) -> None:
    """Mark a convolution's inputs and the result of the clamp after it for quantisation."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer_utils import get_bias_qspec
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation
    from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

    specs = dict(zip(convolution.args[:2], (config.input_activation, config.weight), strict=True))
    if len(convolution.args) > 2 and convolution.args[2] is not None:
        specs[convolution.args[2]] = get_bias_qspec(config)
    convolution.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(input_qspec_map=specs, _annotated=True)
    clamp.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(output_qspec=config.output_activation, _annotated=True)


@dataclass(frozen=True, config=STRICT)
class ExecuTorchInt8:
    """Quantise statically for XNNPACK to an ExecuTorch program."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "executorch"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8_executorch"
    calibration_photos: Count = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pte"
        card = source.int8_card("torchao", "executorch")
        quantise_executorch(source.student, source.canvases(self.calibration_photos), path, card)
        return path
