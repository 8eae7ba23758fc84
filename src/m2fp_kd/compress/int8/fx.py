"""Quantise an fpn student by PyTorch's FX graph mode to an INT8 TorchScript `.pt` file.

`torch.ao.quantization` is deprecated upstream in favour of torchao's PT2E (`pt2e`); only this module uses it. The file
loads fast and needs no compiler. Compared with fp32 TorchScript, ResNet-18 took 96 instead of 146 ms and MobileNetV3 42
instead of 47 (512x512, 2 threads, AVX2 without VNNI); EfficientNet-Lite, whose ReLU6 is not fused, gains nothing.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.fx import GraphModule, Tracer

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import Deployable, deployable, example_canvases
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.export.torchscript import write_torchscript
from m2fp_kd.compress.int8.static import single_images
from m2fp_kd.compress.options import STRICT, Count, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry

BACKEND = "x86"
"""PyTorch's quantised kernels: FBGEMM, or oneDNN on CPUs with VNNI."""


def quantise_fx(student: nn.Module, canvases: Iterable[NDArray[np.uint8]], path: str | Path, card: Card) -> None:
    """Quantise a student to static INT8 and write it as TorchScript, with `card.json` beside it.

    Weights are symmetric int8 with one scale per channel, activations asymmetric uint8 with one scale per tensor.
    Activations use half their range so that sums overflow on no CPU: with the full range a MobileNetV3 lost 1.2 points
    of mIoU on the sample with VNNI and 1.7 without, with half of it 0.2 to 0.4 on both.
    Normalisation, classifier, final resize and argmax stay float.

    Args:
        student: fpn student.
        canvases: uint8 (N, h, w, 3) batches of placed training photos, about 300 in total.
        path: `.pt` file to write.
        card: card of the INT8 artefact.

    Raises:
        Unsupported: the head is m2fp.
        ValueError: there are no canvases.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("torchscript", "int8", kind_of(student, card), geometry.fixed))
    module = fuse(deployable(student, card))
    calibration = [torch.from_numpy(canvas) for canvas in single_images(canvases)]
    module.student = _Quantised(quantised_logits(module, calibration))
    write_torchscript(module, example_canvases(geometry), path, card)


@torch.no_grad()
def quantised_logits(network: Deployable, canvases: list[Tensor]) -> GraphModule:
    """Return an INT8 module from normalised images (N, 3, H, W) to part logits.

    Args:
        network: network with a fused student.
        canvases: calibration canvases of one photo each, uint8 (1, h, w, 3).
    """
    with _deprecated():
        from torch.ao.quantization import HistogramObserver, QConfig, default_per_channel_weight_observer
        from torch.ao.quantization.qconfig_mapping import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        activations = HistogramObserver.with_args(reduce_range=True)
        mapping = get_default_qconfig_mapping(BACKEND)
        mapping.set_global(QConfig(activations, default_per_channel_weight_observer))
        mapping.set_module_name("student.classifier", None)  # 8-bit logits would tie at the borders of parts
        example = network.normalise(canvases[0]).permute(0, 3, 1, 2)
        observed = prepare_fx(_traced(_Logits(network.student)), mapping, (example,))
        for canvas in canvases:
            observed(network.normalise(canvas).permute(0, 3, 1, 2))
        return convert_fx(observed)


class _Logits(nn.Module):
    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        return self.student(images).part_logits


class _Quantised(nn.Module):
    def __init__(self, logits: nn.Module) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> StudentOutput:
        return StudentOutput(self.logits(images))


def _traced(module: nn.Module) -> GraphModule:
    """Trace a module without the identities that hide a ReLU from the convolution before it."""
    graph = Tracer().trace(module)
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(module.get_submodule(node.target), nn.Identity):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    return GraphModule(module, graph)


@contextmanager
def _deprecated() -> Iterator[None]:
    """Silence the deprecation warnings of this interface."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"torch\.ao\.quantization is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"torch\.quantize_per_tensor, .* are deprecated", UserWarning)
        # The default observer itself passes the argument that this warning is about.
        warnings.filterwarnings("ignore", "Please use quant_min and quant_max", UserWarning)
        yield


@dataclass(frozen=True, config=STRICT)
class FxInt8:
    """Quantise statically by PyTorch's FX graph mode to TorchScript, which is deprecated upstream."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "int8_fx"
    calibration_photos: Count = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        quantise_fx(source.student, source.canvases(self.calibration_photos), path, source.int8_card())
        return path
