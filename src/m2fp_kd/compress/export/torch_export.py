"""Export a trained network with torch.export to one `.pt2` file, the successor of TorchScript."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import deployable, example_canvases
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.engines.archive import OUTPUTS_FILE
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry

SMALLEST_SIDE = 2 * CANVAS_MULTIPLE
"""Smallest side in pixels; torch.export specialises on feature maps with a single row or column."""

LARGEST_SIDE = 4096


def export_torch_export(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a network in fp32, BatchNorm folded, with `card.json` beside it.

    The batch is dynamic, and so are height and width unless the card's geometry is fixed, from `SMALLEST_SIDE` to
    `LARGEST_SIDE` pixels.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or M2FP.
        path: `.pt2` file to write.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported with torch.export.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("torch_export", "fp32", kind_of(network, card), geometry.fixed))
    module = fuse(deployable(network, card))
    write_program(to_program(module, geometry), module.outputs, path, card)


@torch.no_grad()
def to_program(module: nn.Module, geometry: Geometry) -> ExportedProgram:
    """Export a module that takes canvases, uint8 (N, H, W, 3)."""
    sides: dict[int, Any] = {}
    if not geometry.fixed:
        least, most = SMALLEST_SIDE // CANVAS_MULTIPLE, LARGEST_SIDE // CANVAS_MULTIPLE
        sides = {axis: CANVAS_MULTIPLE * Dim(name, min=least, max=most) for axis, name in ((1, "rows"), (2, "columns"))}
    shapes = ({0: Dim("batch")} | sides,)
    return torch.export.export(module, (example_canvases(geometry),), dynamic_shapes=shapes)


def write_program(program: ExportedProgram, outputs: tuple[str, ...], path: str | Path, card: Card) -> None:
    """Write a program in one step and add its card.

    The file is a zip archive of JSON (the graph) and raw tensors (the weights), without pickle.
    """
    program.example_inputs = None  # they would be pickled, which the runtime refuses
    _forget_source_files(program)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Raised for every channels-last weight; its only request, weights on the CPU, is met.
        warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
        content = BytesIO()  # on a full disk, PyTorch's writer of files ends the process
        torch.export.save(program, content, extra_files={OUTPUTS_FILE: json.dumps(outputs)})
        temporary.write_bytes(content.getbuffer())
    save_card(path, replace(card, outputs=list(outputs)))


def _forget_source_files(program: ExportedProgram) -> None:
    """Remove the stack traces of all nodes, which name folders of this machine."""
    graphs = (module.graph for module in program.graph_module.modules() if isinstance(module, GraphModule))
    for node in (node for graph in graphs for node in graph.nodes):
        node.meta.pop("stack_trace", None)


@dataclass(frozen=True, config=STRICT)
class TorchExport:
    """Export an fp32 program with ``torch.export``."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "torch_export"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "torch_export"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt2"
        export_torch_export(source.student, path, source.card)
        return path
