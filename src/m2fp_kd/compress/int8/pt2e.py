"""Quantise by torchao's PT2E (PyTorch 2 export quantisation) to an INT8 torch.export `.pt2` file.

The file holds float convolutions between quantise and dequantise operations, with int8 weights. Uncompiled, it ran 1.8
(ResNet-18) to 3.6 times (MobileNetV3-Small) slower than fp32. The runtime's `torch_export` engine therefore compiles
the program with Inductor at loading, which needs a C++ compiler and took 16 and 40 s; then ResNet-18 took 77 ms instead
of fp32's 133, and MobileNetV3 43 instead of 53 (512x512, 2 threads, AVX2 without VNNI). For services that start often,
INT8 ONNX is the better choice.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import nn
from torch.fx import GraphModule

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.export.torch_export import to_program, write_program
from m2fp_kd.compress.int8.static import single_images
from m2fp_kd.compress.options import STRICT, Count, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry


def quantise_pt2e(network: nn.Module, canvases: Iterable[NDArray[np.uint8]], path: str | Path, card: Card) -> None:
    """Quantise a network to static INT8 and write it as an exported program, with `card.json` beside it.

    Convolutions have int8 weights, symmetric with one scale per channel, and uint8 activations with one scale per
    tensor. Activations use half their range so that sums overflow on no CPU: with the full range a MobileNetV3 lost 0.1
    points of mIoU on the sample with VNNI and 0.6 without, with half of it 0.1 to 0.2 on both.
    Linear layers stay float: Inductor makes an INT8 one add to its residual in place, and if that is a constant (the
    initial queries of M2FP's decoder), every call would change the result of the next.

    Args:
        network: student or M2FP.
        canvases: uint8 (N, h, w, 3) batches of placed training photos of the card's geometry, about 300 in total.
        path: `.pt2` file to write.
        card: card of the INT8 artefact.

    Raises:
        Unsupported: this network cannot be quantised by PT2E.
        ValueError: there are no canvases.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("torch_export", "int8", kind_of(network, card), geometry.fixed))
    images = [torch.from_numpy(image) for image in single_images(canvases)]
    module = fuse(deployable(network, card))
    quantised = quantised_program(to_program(module, geometry).module(), images)
    write_program(to_program(quantised, geometry), module.outputs, path, card)


@torch.no_grad()
def quantised_program(module: nn.Module, images: Iterable[torch.Tensor]) -> GraphModule:
    """Return an exported module with quantise and dequantise operations around its convolutions.

    Args:
        module: module from `torch.export`.
        images: calibration canvases of one photo each, uint8 (1, h, w, 3).
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer()
    quantizer.set_global(get_default_x86_inductor_quantization_config(reduce_range=True))
    quantizer.set_function_type_qconfig(nn.functional.linear, None)  # see `quantise_pt2e`
    observed = prepare_pt2e(module, quantizer)
    for image in images:
        observed(image)
    quantised = convert_pt2e(observed)
    _remove_unused_weights(quantised)
    return quantised


def _remove_unused_weights(module: GraphModule) -> None:
    """Remove the float weights that int8 weights replaced; they would be written too."""
    used = {node.target for node in module.graph.nodes if node.op == "get_attr"}
    for name, _ in [*module.named_parameters(), *module.named_buffers()]:
        if name not in used:
            owner, _, attribute = name.rpartition(".")
            delattr(module.get_submodule(owner), attribute)


@dataclass(frozen=True, config=STRICT)
class Pt2eInt8:
    """Quantise statically by torchao's PT2E to a torch.export program."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "torch_export"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8_pt2e"
    calibration_photos: Count = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt2"
        quantise_pt2e(source.student, source.canvases(self.calibration_photos), path, source.int8_card("torchao"))
        return path
