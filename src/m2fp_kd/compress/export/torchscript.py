"""Export a trained network to TorchScript: one `.pt` file that LibTorch and old PyTorch services run.

TorchScript works, but is deprecated upstream in favour of torch.export (`export_torch_export`).
"""

import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import Deployable, deployable, example_canvases
from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.engines.archive import OUTPUTS_FILE
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import Geometry


def export_torchscript(network: nn.Module, path: str | Path, card: Card) -> None:
    """Trace a network in fp32, BatchNorm folded and weights frozen into the graph, with `card.json` beside it.

    Batch, height and width are always dynamic, even if the card's geometry is fixed: a trace reads them from its input.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or M2FP.
        path: `.pt` file to write.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported to TorchScript.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("torchscript", "fp32", kind_of(network, card), geometry.fixed))
    write_torchscript(fuse(deployable(network, card)), example_canvases(geometry), path, card)


@torch.no_grad()
def write_torchscript(module: Deployable, example: Tensor, path: str | Path, card: Card) -> None:
    """Trace and freeze a deployable network, write it in one step and add its card.

    The file is a zip archive: the graph as TorchScript source, the weights as raw tensors, and `data.pkl` with
    `constants.pkl`, which list them. These two use pickle's encoding, but PyTorch reads them with a reader of its own,
    which knows tensors and plain values and calls nothing.
    """
    with warnings.catch_warnings():
        # Deprecated, but wanted here; see the top of this file.
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        # Sizes that the tracer made constant would be wrong for other canvases: parity at other sizes shows them.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.freeze(torch.jit.trace(module, (example,), check_trace=False))
        with atomic_path(path) as temporary:
            content = BytesIO()  # on a full disk, PyTorch's writer of files ends the process
            torch.jit.save(traced, content, _extra_files={OUTPUTS_FILE: json.dumps(module.outputs)})
            _write_without_source_files(content, temporary)
    save_card(path, replace(card, outputs=list(module.outputs)))


def _write_without_source_files(written: BytesIO, path: Path) -> None:
    """Write an archive without its optional debug records, which name folders of this machine."""
    with zipfile.ZipFile(written) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".debug_pkl")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # PyTorch reads no compressed records
        for name, content in kept.items():
            archive.writestr(name, content)


@dataclass(frozen=True, config=STRICT)
class TorchScript:
    """Export fp32 TorchScript, traced and frozen."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "torchscript"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "torchscript"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.pt"
        export_torchscript(source.student, path, source.card)
        return path
