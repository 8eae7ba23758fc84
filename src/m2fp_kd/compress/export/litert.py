"""Export a trained network to LiteRT, once TensorFlow Lite: one `.tflite` file, also for MediaPipe's segmenter task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import OUTPUTS
from m2fp_kd.compress.export.device import WithoutMap, example_canvas, for_device
from m2fp_kd.compress.export.litert_metadata import with_labels
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.files import atomic_path


class PartsInnermost(nn.Module):
    """A network for devices whose part logits are (1, H/4, W/4, P), as MediaPipe wants them."""

    def __init__(self, network: WithoutMap) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        part_logits, *queries = self.network(images)
        return part_logits.permute(0, 2, 3, 1), *queries


def export_litert(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a network in fp32 for one photo of a fixed size, with MediaPipe's metadata and with `card.json` beside it.

    The input is a canvas, uint8 (1, S, S, 3); the outputs are those of `Deployable.logits`, the part logits as
    float32 (1, S/4, S/4, P).

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or M2FP.
        path: `.tflite` file to write.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported to LiteRT.
    """
    require(Cell("litert", "fp32", kind_of(network, card), card.geometry["fixed"]))
    write_litert(to_litert(network, card), path, card)


@torch.no_grad()
def to_litert(network: nn.Module, card: Card) -> bytes:
    """Convert a network to the bytes of a LiteRT model."""
    import litert_torch

    module = PartsInnermost(for_device(network, card)).eval()
    converted = litert_torch.convert(module, (example_canvas(card),))
    with TemporaryDirectory() as folder:
        converted.export(f"{folder}/model.tflite")
        return Path(folder, "model.tflite").read_bytes()


def write_litert(model: bytes, path: str | Path, card: Card) -> None:
    """Write a LiteRT model with metadata in one step, and add its card."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(with_labels(model, card.labels.parts, card.teacher.licence))
    save_card(path, replace(card, outputs=list(OUTPUTS[card.head][1:])))


@dataclass(frozen=True, config=STRICT)
class LiteRT:
    """Export fp32 to LiteRT."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "litert"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "litert"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.tflite"
        export_litert(source.student, path, source.card)
        return path
