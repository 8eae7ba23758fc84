"""A trained network -> TorchScript: one `.pt` file that LibTorch and old PyTorch services run.

TorchScript is deprecated upstream in favour of torch.export (`export_torch_export`), and works.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deploy import Deployable, deployable, example_canvases
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.engines.archive import OUTPUTS_FILE
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import Geometry


def export_torchscript(network: nn.Module, path: str | Path, card: Card) -> None:
    """Trace a network in fp32, BatchNorm folded and weights frozen into the graph, with `card.json` beside it.

    Batch, height and width are dynamic whatever the card's geometry says: a trace reads them from its input.

    Args:
        network: a student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or an M2FP.
        path: the `.pt` file to write.
        card: its label set, geometry and head describe the network.

    Raises:
        Unsupported: this network cannot be exported so.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("torchscript", "fp32", kind_of(network, card), geometry.fixed))
    write_torchscript(fuse(deployable(network, card)), example_canvases(geometry), path, card)


@torch.no_grad()
def write_torchscript(module: Deployable, example: Tensor, path: str | Path, card: Card) -> None:
    """Trace and freeze a deployable network, write it under a temporary name, rename it and add its card.

    The file is a zip archive: the graph as TorchScript source, the weights as raw tensors, and `data.pkl` with
    `constants.pkl`, which list them. Those two are written in pickle's encoding, but PyTorch reads them with a reader
    of its own that knows tensors and plain values and calls nothing.
    """
    with warnings.catch_warnings():
        # Deprecated, and asked for all the same; see the top of this file.
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        # Sizes that the tracer takes for constants would be wrong for other canvases: parity at other sizes shows it.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.freeze(torch.jit.trace(module, (example,), check_trace=False))
        with atomic_path(path) as temporary:
            torch.jit.save(traced, temporary, _extra_files={OUTPUTS_FILE: json.dumps(module.outputs)})
    save_card(path, replace(card, outputs=list(module.outputs)))


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
