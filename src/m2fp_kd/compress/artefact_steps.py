"""The steps of compression that write files: export, quantise, convert."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from m2fp_kd.compress.export.capabilities import NETWORKS
from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.export.openvino import export_openvino
from m2fp_kd.compress.export.program import export_program
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.compress.int8.accuracy import Bounds, quantise_with_accuracy_control
from m2fp_kd.compress.int8.dynamic import quantise_dynamic, quantise_linears
from m2fp_kd.compress.int8.fx import quantise_fx
from m2fp_kd.compress.int8.pt2e import quantise_pt2e
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.compress.steps import Source
from m2fp_kd.runtime.artefact import load_card, save_card

log = logging.getLogger(__name__)

MASK_CLASSIFIERS = ("m2fp", "teacher")
"""Networks with matrix products to quantise."""


@dataclass(frozen=True)
class Export:
    """fp32 ONNX, which INT8 is made from."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "fp32"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        export_onnx(source.student, path, source.card)
        return path


@dataclass(frozen=True)
class StaticInt8:
    """Static INT8 of the export.

    Attributes:
        name: of the artefact.
        calibration_photos: how many training photos activations are observed on.
    """

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "int8"
    calibration_photos: int = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        assert source.fp32 is not None
        card = source.int8_card("nncf", "onnxruntime")
        quantise_static(source.fp32, source.canvases(self.calibration_photos), path, card)
        return path


@dataclass(frozen=True)
class DynamicInt8:
    """Dynamic INT8 of the export's matrix products: for mask-classification students in ONNX Runtime."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = MASK_CLASSIFIERS
    of: ClassVar[None] = None
    name: str = "int8_dynamic"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        assert source.fp32 is not None
        quantise_dynamic(source.fp32, path, source.int8_card("onnxruntime"))
        return path


@dataclass(frozen=True)
class AccurateInt8:
    """Static INT8 of the export that leaves the layers that hurt in fp32, until the bounds hold.

    Attributes:
        name: of the artefact.
        max_miou_drop: points of mIoU that INT8 may lose.
        max_part_drop: points that each of `parts` may lose; null for any.
        parts: names of parts; null for all.
        calibration_photos: how many training photos activations are observed on.
        max_evaluations: networks that may be run to find these layers.
        threads: CPU threads of the engine that runs them.
    """

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "int8"
    max_miou_drop: float = 0.1
    max_part_drop: float | None = 1.0
    parts: Sequence[str] | None = None
    calibration_photos: int = 300
    max_evaluations: int = 250
    threads: int | None = None

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        assert source.fp32 is not None
        control = quantise_with_accuracy_control(
            source.fp32,
            source.canvases(self.calibration_photos),
            path,
            source.int8_card("nncf", "onnxruntime"),
            source.photos,
            Bounds(self.max_miou_drop, self.max_part_drop, tuple(self.parts) if self.parts else None),
            self.max_evaluations,
            threads=self.threads,
        )
        log.info("%s: %s", self.name, control)
        save_card(path, replace(load_card(path), float_layers=control.float_layers))
        return path


@dataclass(frozen=True)
class TorchScript:
    """fp32 TorchScript, traced and frozen."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "torchscript"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        export_torchscript(source.student, path, source.card)
        return path


@dataclass(frozen=True)
class Program:
    """fp32 program of torch.export."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "program"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "program"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt2"
        export_program(source.student, path, source.card)
        return path


@dataclass(frozen=True)
class FxInt8:
    """Static INT8 by PyTorch's FX graph mode, as TorchScript: the classic way, deprecated upstream."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "int8_fx"
    calibration_photos: int = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        quantise_fx(source.student, source.canvases(self.calibration_photos), path, source.int8_card())
        return path


@dataclass(frozen=True)
class Pt2eInt8:
    """Static INT8 by torchao's PT2E, as a program of torch.export."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "program"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "int8_pt2e"
    calibration_photos: int = 300

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt2"
        quantise_pt2e(source.student, source.canvases(self.calibration_photos), path, source.int8_card("torchao"))
        return path


@dataclass(frozen=True)
class TorchDynamicInt8:
    """PyTorch's dynamic INT8 of the attention's linear layers, as TorchScript: for mask-classification students."""

    kind: ClassVar[str] = "quantise"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = MASK_CLASSIFIERS
    of: ClassVar[None] = None
    name: str = "int8_torch_dynamic"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        export_torchscript(quantise_linears(source.student), path, source.int8_card())
        return path


@dataclass(frozen=True)
class OpenVINO:
    """OpenVINO's own format of an ONNX artefact of the same run.

    Attributes:
        of: name of that artefact.
        name: of this one.
    """

    kind: ClassVar[str] = "convert"
    format: ClassVar[str] = "openvino"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: str = "int8"
    name: str = "openvino_int8"

    def __call__(self, source: Source, folder: Path) -> Path:
        onnx, path = folder.parent / self.of / "model.onnx", folder / "model.xml"
        export_openvino(onnx, path, replace(load_card(onnx), parity={}))
        return path
