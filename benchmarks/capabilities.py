"""Check every cell of the capability table on every backbone: export, run twice, compare with PyTorch, or refuse.

    python benchmarks/capabilities.py --backbones mobilenetv3 resnet18 --formats onnx openvino torchscript

The networks are narrow and have random weights, whose part logits are nearly equal, so INT8 changes more of their
pixels than of a trained network's. Compiling takes a minute for each INT8 program. The exit code is 0 if every cell
agrees with the table, else 1.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from m2fp_kd.compress.export.capabilities import (
    ARTEFACT_FORMATS,
    NETWORKS,
    PRECISIONS,
    Cell,
    Unsupported,
    cells,
    refusal,
    require,
)
from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.export.executorch import export_executorch
from m2fp_kd.compress.export.litert import export_litert
from m2fp_kd.compress.export.ncnn import export_ncnn
from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.export.openvino import export_openvino
from m2fp_kd.compress.export.torch_export import export_torch_export
from m2fp_kd.compress.export.torchscript import export_torchscript
from m2fp_kd.compress.int8.executorch import quantise_executorch
from m2fp_kd.compress.int8.fx import quantise_fx
from m2fp_kd.compress.int8.litert import quantise_litert
from m2fp_kd.compress.int8.pt2e import quantise_pt2e
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import BACKBONES, build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp import build_m2fp
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.part_map import upsampled_argmax

LABELS = LABEL_SETS["pascal_person_part"]
CALIBRATION = 8
TEACHER = {
    "width": 32, "mask_width": 32, "queries": 8, "encoder_layers": 1, "decoder_layers": 1, "heads": 2,
    "encoder_feedforward": 16, "decoder_feedforward": 16,
}  # fmt: skip
LIMITS = {"fp32": (0.999, 1e-3), "fp16": (0.999, 2e-3), "int8": (0.8, 0.15)}
"""Lowest pixel agreement and highest relative error of logits. Rounding its weights to fp16 changes the logits of an
untrained EfficientNet-Lite2 in PyTorch by 0.1 %. INT8 with queries is judged by the error alone, because the parts of
an untrained mask classifier are ties."""

GREY_LEVELS, TIMES = 4, 3
"""INT8 may also change the queries by up to `TIMES` the change that `GREY_LEVELS` in the photo cause in PyTorch,
because INT8 changes some untrained M2FPs by a third."""

COMPILED = 0.1
"""Highest relative error of a compiled INT8 program against the uncompiled one, unless the grey levels above change
PyTorch's result by more: rounding changes correct programs by 1 to 5 %, and that of an untrained EfficientNet-Lite1,
accumulated over its layers, by 16 %."""

FROM_NETWORK: dict[str, tuple[str, Callable[..., None], Callable[..., None] | None]] = {
    "torchscript": ("model.pt", export_torchscript, quantise_fx),
    "torch_export": ("model.pt2", export_torch_export, quantise_pt2e),
    "executorch": ("model.pte", export_executorch, quantise_executorch),
    "litert": ("model.tflite", export_litert, quantise_litert),
    "ncnn": ("model.param", export_ncnn, None),
}
"""Format that is made from the network itself -> its file, its export and its quantiser; the others come from ONNX."""

Canvases = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """Agreement of an artefact with PyTorch on its worst canvas.

    Attributes:
        pixels: share of pixels with the same part, 0..1.
        queries: mean error of class and mask logits relative to their mean magnitude; None without queries.
        compiled: mean relative error of a compiled INT8 program's logits against the uncompiled program's.
        sensitivity: result of `sensitivity` for INT8, else 0.
    """

    pixels: float
    queries: float | None
    compiled: float = 0.0
    sensitivity: float = 0.0

    def within(self, precision: str) -> bool:
        """Return whether the agreement is within the limits of a precision, one of `LIMITS`."""
        min_pixels, max_error = LIMITS[precision]
        if precision == "int8":
            max_error = max(max_error, TIMES * self.sensitivity)
        if self.compiled > max(COMPILED, self.sensitivity):
            return False
        if self.queries is not None and self.queries > max_error:
            return False
        return self.pixels >= min_pixels or (precision == "int8" and self.queries is not None)

    def __str__(self) -> str:
        queries = "" if self.queries is None else f", error of queries {100 * self.queries:.2g} %"
        compiled = f", compiled {100 * self.compiled:.2g} %" if self.compiled else ""
        return f"{100 * self.pixels:.2f} % of pixels{queries}{compiled}"


def weights_of(cell: Cell) -> str:
    """Return the precision of the weights in a cell's artefact, one of `LIMITS`."""
    return "fp16" if cell.format == "ncnn" else cell.precision


def build(kind: str, backbone: str, scale: float = 1.0) -> nn.Module:
    """Build one of `NETWORKS` with random weights and with BatchNorm statistics of a few images.

    Args:
        kind: one of `NETWORKS`.
        backbone: one of `BACKBONES`.
        scale: that of an `FPNStudent`; the other networks have none.
    """
    torch.manual_seed(0)
    body = build_backbone(backbone)
    network: nn.Module
    if kind == "fpn":
        network = FPNStudent(body, LABELS.num_parts, width=32, scale=scale)
    elif kind == "m2fp":
        network = M2FPStudent(body, LABELS.num_parts, LABELS.has_human, width=32, queries=12, layers=3, heads=4)
    else:
        network = build_m2fp(body, LABELS.num_parts + LABELS.has_human, **TEACHER)
    with torch.no_grad():
        for seed in range(10):
            network(torch.from_numpy(noise(4, 64, 64, seed)).permute(0, 3, 1, 2))
    return network.eval()


def noise(batch: int, height: int, width: int, seed: int) -> Canvases:
    """Return random canvases, uint8 (N, h, w, 3): coarse blocks of colour with fine noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 200, (batch, height // 16, width // 16, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return (blocks + rng.integers(0, 56, (batch, height, width, 3))).astype(np.uint8)


def make(cell: Cell, network: nn.Module, folder: Path, card: Card, calibration: Iterable[Canvases]) -> Path:
    """Make the artefact of a cell as a user would, including the files that it is made from.

    Args:
        cell: cell of the capability table.
        network: network to export.
        folder: folder to write to.
        card: card whose geometry and head fit the cell and the network; the precision is filled in.
        calibration: canvases to calibrate INT8 on.

    Raises:
        Unsupported: the cell is refused.
    """
    fp32, int8 = replace(card, precision="fp32"), replace(card, precision="int8")
    if cell.format in FROM_NETWORK:
        name, export, quantise = FROM_NETWORK[cell.format]
        path = folder / name
        if cell.precision == "int8" and quantise:
            quantise(network, calibration, path, int8)
        else:
            require(cell)
            export(network, path, fp32)
        return path
    path = folder / "onnx" / "fp32" / "model.onnx"
    export_onnx(network, path, fp32)
    if cell.precision == "int8":
        source, path = path, folder / "onnx" / "int8" / "model.onnx"
        quantise_static(source, calibration, path, int8)
    if cell.format == "openvino":
        source, path = path, folder / "model.xml"
        export_openvino(source, path, replace(card, precision=cell.precision))
    return path


def compare(model: Path, network: nn.Module, card: Card, batches: Iterable[Canvases], compiled: bool) -> Agreement:
    """Run an artefact twice on every batch and compare the second results with PyTorch's.

    Args:
        model: file of the artefact.
        network: network in PyTorch.
        card: card of the artefact.
        batches: canvases to run on.
        compiled: whether the artefact is a compiled INT8 program, to be compared with the uncompiled one too.
    """
    engine, expected = open_engine(model, threads=1), deployable(network, card)
    program = torch.export.load(model).module() if compiled else None
    pixels: list[float] = []
    queries: list[float] = []
    errors: list[float] = []
    for canvases in batches:
        truth = _outputs(expected, expected.outputs, canvases)
        uncompiled = {} if program is None else _outputs(program, expected.outputs, canvases)
        engine(canvases)
        outputs = engine(canvases)
        if "part_map" not in outputs:  # of phones and boards; see `WithoutMap`
            outputs["part_map"] = np.stack([upsampled_argmax(logits) for logits in outputs["part_logits"]])
        for name, found in outputs.items():
            if name == "part_map":
                pixels.append(float((found == truth[name]).mean()))
                continue
            queries.append(_relative(found, truth[name]))
            if uncompiled:
                errors.append(_relative(found, uncompiled[name]))
    return Agreement(min(pixels), max(queries, default=None), max(errors, default=0.0))


def sensitivity(network: nn.Module, card: Card, batches: Iterable[Canvases]) -> float:
    """Return the largest relative change of PyTorch's logits if pixels change by up to `GREY_LEVELS`."""
    expected = deployable(network, card)
    changes = []
    for canvases in batches:
        shift = np.random.default_rng(0).integers(-GREY_LEVELS, GREY_LEVELS + 1, canvases.shape)
        before, after = (
            _outputs(expected, expected.outputs, one)
            for one in (canvases, (canvases + shift).clip(0, 255).astype(np.uint8))
        )
        changes += [_relative(after[name], before[name]) for name in expected.outputs if name != "part_map"]
    return max(changes)


def _outputs(network: nn.Module, names: Sequence[str], canvases: Canvases) -> dict[str, NDArray]:
    with torch.no_grad():
        return {name: output.numpy() for name, output in zip(names, network(torch.from_numpy(canvases)), strict=True)}


def _relative(found: NDArray, truth: NDArray) -> float:
    """Return the mean error relative to the mean magnitude."""
    return float(np.abs(found - truth).mean() / np.abs(truth).mean())


def check(cell: Cell, network: nn.Module, folder: Path, size: int) -> Agreement:
    """Make a cell's artefact and compare it.

    Raises:
        Unsupported: the cell is refused.
    """
    card = Card(
        LABELS.to_dict(), {"size": size, "fixed": cell.fixed}, "fp32", "fpn" if cell.network == "fpn" else "m2fp"
    )
    calibration = [noise(1, size, size, 100 + seed) for seed in range(CALIBRATION)]
    model = make(cell, network, folder, card, calibration)
    batches = [noise(1, size, size, 1)]
    if not cell.fixed:
        batches.append(noise(1, size + 32, size + 64, 2))
    one_photo = cell.network == "teacher" and cell.format in ("onnx", "openvino")
    compiled = cell.format == "torch_export" and cell.precision == "int8"  # each batch size takes a minute to compile
    if not one_photo and not compiled:
        batches.append(noise(3, size, size, 3))
    found = compare(model, network, card, batches, compiled)
    if found.queries is not None and cell.precision == "int8":
        found = replace(found, sensitivity=sensitivity(network, card, batches))
    return found


def judge(cell: Cell, network: nn.Module, size: int) -> tuple[bool, str]:
    """Return whether a cell agrees with the table, and a description of the result."""
    reason = refusal(cell)
    with TemporaryDirectory() as folder:
        try:
            found = check(cell, network, Path(folder), size)
        except Unsupported as error:
            return reason is not None and reason in str(error), f"refused: {reason}"
        except Exception as error:  # a cell that fails must not hide the others
            return False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return reason is None and found.within(weights_of(cell)), str(found)


def main() -> int:
    """Print the table and return the exit code."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    command.add_argument("--formats", nargs="+", choices=ARTEFACT_FORMATS, default=list(ARTEFACT_FORMATS))
    command.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    command.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    command.add_argument("--size", type=int, default=64)
    command.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="what fpn students see, as a share of the canvas; in ncnn only with a fixed size",
    )
    options = command.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    for backbone, kind in product(options.backbones, options.networks):
        network = build(kind, backbone, options.scale)
        for cell in cells():
            if cell.network != kind or cell.format not in options.formats or cell.precision not in options.precisions:
                continue
            start = time.perf_counter()
            correct, result = judge(cell, network, options.size)
            wrong += not correct
            mark, seconds = "ok" if correct else "WRONG", time.perf_counter() - start
            print(f"{mark:<6}{backbone:<20}{cell!s:<48}{seconds:6.1f} s  {result}", flush=True)
    print(f"{wrong} cells disagree with the table" if wrong else "all cells agree with the table")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
