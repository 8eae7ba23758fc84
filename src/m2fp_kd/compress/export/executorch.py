"""Export a trained network to ExecuTorch: one `.pte` file whose operations XNNPACK runs, for Android, iOS and Arm."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import nn
from torch.export import ExportedProgram

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.device import example_canvas, for_device
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.files import atomic_path


@torch.no_grad()
def export_executorch(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a network in fp32 for one photo of a fixed size, with `card.json` beside it.

    The input is a canvas, uint8 (1, S, S, 3); the outputs are those of `Deployable.logits`.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or M2FP.
        path: `.pte` file to write.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported to ExecuTorch.
    """
    require(Cell("executorch", "fp32", kind_of(network, card), card.geometry["fixed"]))
    module = for_device(network, card)
    write_program(torch.export.export(module, (example_canvas(card),)), module.outputs, path, card)


def write_program(program: ExportedProgram, outputs: Sequence[str], path: str | Path, card: Card) -> None:
    """Lower a program to XNNPACK, write it in one step and add its card."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    with atomic_path(path) as temporary:
        temporary.write_bytes(lowered.buffer)
    save_card(path, replace(card, outputs=list(outputs)))


@dataclass(frozen=True, config=STRICT)
class ExecuTorch:
    """Export fp32 to ExecuTorch."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "executorch"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "executorch"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pte"
        export_executorch(source.student, path, source.card)
        return path
