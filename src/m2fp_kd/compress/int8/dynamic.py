"""Dynamic INT8: int8 weights in the file, activations quantised at run time for each photo, without calibration."""

import copy
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import onnx
import torch
from pydantic.dataclasses import dataclass
from torch import nn
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

from m2fp_kd.compress.export.capabilities import MASK_CLASSIFIERS
from m2fp_kd.compress.export.onnx import write_artefact
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.compress.int8.onnx_passes import shorten_names
from m2fp_kd.compress.int8.static import load_for_int8
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card


def quantise_dynamic(fp32: str | Path, int8: str | Path, card: Card) -> None:
    """Quantise the matrix products of an exported network with ONNX Runtime's dynamic quantisation.

    Products with constant weights become `MatMulInteger`: int8 weights with one scale per output channel, in 7 bits so
    that sums overflow on no CPU, and uint8 activations. Convolutions stay fp32: ONNX Runtime's `ConvInteger` makes a
    ResNet-18 student 4.5 times and a MobileNetV3 one 5.5 times slower than fp32 (256x256, AVX2), so per-pixel students
    gain nothing.

    Args:
        fp32: file written by `export_onnx`.
        int8: file to write. ONNX Runtime runs it up to a tenth faster than fp32, OpenVINO 1.2 to 1.5 times slower.
        card: card of the INT8 artefact.

    Raises:
        ValueError: the network has no matrix products.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as onnxruntime_dynamic

    model = load_for_int8(fp32)
    if not any(node.op_type == "MatMul" for node in model.graph.node):
        raise ValueError(
            f"{fp32}: dynamic INT8 is for matrix products, which a per-pixel student does not have; use static INT8"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        options = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
        onnxruntime_dynamic(model, file, op_types_to_quantize=["MatMul"], **options)
        quantised = onnx.load(file)
    shorten_names(quantised)
    write_artefact(quantised, int8, card)


def quantise_linears(module: nn.Module) -> nn.Module:
    """Return a copy of a module, in eval mode on the CPU, with PyTorch's dynamic INT8 linear layers.

    Weights are int8 with one scale per output channel, activations are quantised at run time. Everything else stays
    float, including convolutions and the two products inside attention.

    Raises:
        ValueError: the module has no linear layers.
    """
    if not any(isinstance(layer, nn.Linear) for layer in module.modules()):
        raise ValueError("torch's dynamic INT8 is for linear layers, but a per-pixel student has none; use static INT8")
    return quantize_dynamic(
        copy.deepcopy(module).cpu().eval(), {nn.Linear: per_channel_dynamic_qconfig}, dtype=torch.qint8
    )


@dataclass(frozen=True, config=STRICT)
class DynamicInt8:
    """Quantise the export's matrix products dynamically, for mask-classification students in ONNX Runtime."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = MASK_CLASSIFIERS
    made_from: ClassVar[None] = None
    name: Name = "int8_dynamic"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        quantise_dynamic(source.exported, path, source.int8_card("onnxruntime"))
        return path


@dataclass(frozen=True, config=STRICT)
class TorchDynamicInt8:
    """Quantise attention's linear layers by PyTorch's dynamic INT8 to TorchScript, for mask-classification students."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = MASK_CLASSIFIERS
    made_from: ClassVar[None] = None
    name: Name = "int8_torch_dynamic"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        export_torchscript(quantise_linears(source.student), path, source.int8_card())
        return path
