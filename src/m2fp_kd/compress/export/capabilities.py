"""The capability table: every combination of format, precision and network works, or is refused with a reason."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product

from torch import nn

from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.runtime.artefact import Card

ARTEFACT_FORMATS = {
    "onnx": "ONNX; INT8 by NNCF",
    "openvino": "OpenVINO IR; INT8 from the INT8 ONNX file",
    "torchscript": "traced TorchScript; INT8 by FX graph mode",
    "torch_export": "torch.export; INT8 by torchao PT2E, compiled when loaded",
    "executorch": "ExecuTorch with XNNPACK; INT8 by torchao PT2E",
    "litert": "LiteRT, once TensorFlow Lite; INT8 by the AI Edge quantiser",
    "ncnn": "ncnn with fp16 weights",
}
"""Format -> its description, and how its INT8 is made."""

PRECISIONS = ("fp32", "int8")

NETWORKS = ("fpn", "m2fp", "teacher")
"""Kinds of networks: students by their head, and "teacher" for an M2FP."""

MASK_CLASSIFIERS = ("m2fp", "teacher")
"""Networks with matrix products, which dynamic quantisation needs."""


class Unsupported(ValueError):
    """Raised for a network that cannot be exported this way; the message gives the reason and an alternative."""


@dataclass(frozen=True)
class Cell:
    """One combination; it holds for every backbone.

    Attributes:
        format: one of `ARTEFACT_FORMATS`.
        precision: one of `PRECISIONS`.
        network: one of `NETWORKS`.
        fixed: whether the canvas has a fixed size; else its sides are multiples of 32. The batch is dynamic, except for
            a teacher in ONNX and OpenVINO, where it is 1.
    """

    format: str
    precision: str
    network: str
    fixed: bool

    def __str__(self) -> str:
        return f"{self.format} {self.precision}, {self.network}, {'fixed' if self.fixed else 'dynamic'} size"


@dataclass(frozen=True)
class Refusal:
    """Cells that do not work, with the reason; a field that is None matches any value."""

    reason: str
    format: str | None = None
    precision: str | None = None
    network: str | None = None
    fixed: bool | None = None

    def covers(self, cell: Cell) -> bool:
        """Return whether the cell is one of them."""
        wanted = {field.name: getattr(self, field.name) for field in fields(cell)}
        return all(value is None or value == getattr(cell, name) for name, value in wanted.items())


_FX = "FX graph mode does not trace {}: {}; use INT8 in ONNX or OpenVINO"
_ONNX_SIZES = (
    "the ONNX exporter makes the sizes of M2FP's levels constants, so the graph would be wrong for other canvases; use "
    "a fixed size, TorchScript or torch.export"
)

_STUDENTS = "files for phones are made from students; XNNPACK refuses M2FP's decoder, so distil it first"
_ONE_SIZE = "these files have one input size; export a student whose geometry is fixed, or use ncnn or ONNX"
_NCNN = "ncnn's converter does not know the attention of mask classifiers; use ExecuTorch or LiteRT"

REFUSALS = (
    Refusal(
        _FX.format("a transformer decoder", "it reads the sizes of its levels from tensors"),
        "torchscript", "int8", "m2fp",
    ),
    Refusal(
        _FX.format("M2FP", "it checks the canvas and reads the sizes of its levels from tensors"),
        "torchscript", "int8", "teacher",
    ),
    Refusal(_ONNX_SIZES, "onnx", None, "teacher", False),
    Refusal(_ONNX_SIZES, "openvino", None, "teacher", False),  # made from ONNX
    Refusal(_STUDENTS, "executorch", None, "teacher"),
    Refusal(_STUDENTS, "litert", None, "teacher"),
    Refusal(_ONE_SIZE, "executorch", None, None, False),
    Refusal(_ONE_SIZE, "litert", None, None, False),
    Refusal(_NCNN, "ncnn", None, "m2fp"),
    Refusal(_NCNN, "ncnn", None, "teacher"),
    Refusal("ncnn files are made with fp16 weights only; use ncnn in fp32, or INT8 in LiteRT", "ncnn", "int8"),
)  # fmt: skip


def cells() -> Iterator[Cell]:
    """Yield every combination."""
    for values in product(ARTEFACT_FORMATS, PRECISIONS, NETWORKS, (True, False)):
        yield Cell(*values)


def refusal(cell: Cell) -> str | None:
    """Return why a cell does not work; None if it works."""
    return next((entry.reason for entry in REFUSALS if entry.covers(cell)), None)


def require(cell: Cell) -> None:
    """Check that a cell works; every exporter calls this first.

    Raises:
        Unsupported: it does not work; the message gives the reason.
    """
    if reason := refusal(cell):
        raise Unsupported(f"{cell}: {reason}")


def kind_of(network: nn.Module, card: Card) -> str:
    """Return which of `NETWORKS` a network is."""
    return "teacher" if isinstance(network, M2FP) else card.head
