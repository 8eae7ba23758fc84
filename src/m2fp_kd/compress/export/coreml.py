"""Convert a trained per-pixel student to Core ML (`.mlpackage`), for iOS and macOS. Nothing here can run the result."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from m2fp_kd.compress.export.device import traced_core
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.files import atomic_folder

NEVER_RUN = "Converted by m2fp-kd and never run: Core ML runs on Apple's devices only."


@torch.no_grad()
def export_coreml(network: nn.Module, path: str | Path, card: Card) -> None:
    """Convert a per-pixel student with fp16 weights, with `card.json` beside it.

    The input `image` is the canvas as an RGB image of the card's fixed size; the output `part_logits` are the logits
    (1, P, S/4, S/4). The model's description holds the parts, the licence and that it was never run.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`).
        path: `.mlpackage` folder to write.
        card: card with the network's label set, geometry and head.
    """
    import coremltools

    core, shape = traced_core(network, card)
    model = coremltools.convert(
        core,
        inputs=[coremltools.ImageType("image", shape, color_layout=coremltools.colorlayout.RGB)],
        outputs=[coremltools.TensorType("part_logits")],
        minimum_deployment_target=coremltools.target.iOS16,
    )
    model.short_description = NEVER_RUN
    model.license = card.teacher.licence or ""
    model.user_defined_metadata["parts"] = json.dumps(card.labels.parts)
    with TemporaryDirectory() as folder, atomic_folder(path) as target:
        written = Path(folder) / "model.mlpackage"
        model.save(str(written))
        # Copies get the permissions of new files; Core ML's own file is for its owner only.
        shutil.copytree(written, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
    save_card(path, card)


@dataclass(frozen=True, config=STRICT)
class CoreML:
    """Convert to Core ML with fp16 weights; the result cannot be checked here."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "coreml"
    runs: ClassVar[bool] = False
    networks: ClassVar[Sequence[str]] = ("fpn",)
    made_from: ClassVar[None] = None
    name: Name = "coreml"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.mlpackage"
        export_coreml(source.student, path, source.card)
        return path
