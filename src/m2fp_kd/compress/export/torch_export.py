"""A trained network -> torch.export: one `.pt2` file, the format that succeeds TorchScript."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deploy import deployable, example_canvases
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.engines.archive import OUTPUTS_FILE
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry

SMALLEST_SIDE = 2 * CANVAS_MULTIPLE
"""Pixels; torch.export makes a special case of feature maps with a single row or column."""

LARGEST_SIDE = 4096


def export_torch_export(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a network in fp32, BatchNorm folded, with `card.json` beside it.

    The batch is dynamic; height and width are as well unless the card's geometry is fixed, from `SMALLEST_SIDE` to
    `LARGEST_SIDE` pixels.

    Args:
        network: a student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or an M2FP.
        path: the `.pt2` file to write.
        card: its label set, geometry and head describe the network.

    Raises:
        Unsupported: this network cannot be exported so.
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
    """Write a program under a temporary name, rename it and add its card.

    The file is a zip archive of JSON (the graph) and raw tensors (the weights); no pickle is in it.
    """
    program.example_inputs = None  # they would be pickled, and the runtime refuses pickle
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Said of every weight that lies channels last; that it is on the CPU is all that it asks for.
        warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
        torch.export.save(program, temporary, extra_files={OUTPUTS_FILE: json.dumps(outputs)})
    save_card(path, replace(card, outputs=list(outputs)))


@dataclass(frozen=True)
class TorchExport:
    """An fp32 program of ``torch.export``."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "torch_export"
    networks: ClassVar[Sequence[str]] = NETWORKS
    of: ClassVar[None] = None
    name: str = "torch_export"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt2"
        export_torch_export(source.student, path, source.card)
        return path
