"""Export a trained network to ncnn (`.param` and `.bin`), whose kernels for Arm are among the fastest."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, Unsupported, kind_of, require
from m2fp_kd.compress.export.device import traced_core
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.files import atomic_path


@torch.no_grad()
def export_ncnn(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a per-pixel student with fp16 weights, with `card.json` beside it.

    The input `in0` is a canvas as float planes, RGB 0..255; the output `out0` are the part logits at stride 4.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`).
        path: `.param` file to write; the weights are written to a `.bin` beside it.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported to ncnn, or pnnx refuses it.
    """
    fixed = card.geometry["fixed"]
    require(Cell("ncnn", "fp32", kind_of(network, card), fixed))
    if not fixed and isinstance(network, FPNStudent) and network.scale != 1:
        raise Unsupported("pnnx makes the sizes of a scaled student constants; export it with a fixed size, or to ONNX")
    import pnnx

    path = Path(path)
    core, shape = traced_core(network, card)
    with TemporaryDirectory() as folder:
        core.save(f"{folder}/core.pt")
        command = [pnnx.EXEC_PATH, "core.pt", f"inputshape=[{','.join(map(str, shape))}]", "fp16=1"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        param, weights = (Path(folder) / f"core.ncnn.{suffix}" for suffix in ("param", "bin"))
        if done.returncode or not param.is_file():
            raise Unsupported(f"pnnx cannot convert it to ncnn: {done.stderr.strip()[-500:]}")
        with atomic_path(path.with_suffix(".bin")) as temporary:
            temporary.write_bytes(weights.read_bytes())
        with atomic_path(path) as temporary:  # after the weights that it needs
            temporary.write_bytes(param.read_bytes())
    save_card(path, replace(card, outputs=["part_logits"]))


@dataclass(frozen=True, config=STRICT)
class Ncnn:
    """Export to ncnn with fp16 weights."""

    kind: ClassVar[str] = "export"
    gate: ClassVar[str] = "precision"  # of the weights, fp16
    format: ClassVar[str] = "ncnn"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "ncnn"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.param"
        export_ncnn(source.student, path, source.card)
        return path
