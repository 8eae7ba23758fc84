"""Make students of a backbone that know some drawn scenes by heart, by a minute or two of training.

On scenes that a student knows, it is sure of most parts, as a trained one is on photos. Where it is not, parity says
nothing about the CPU: rounding a few activations of an early layer the other way then changes 1 % of the parts, and
ONNX Runtime rounds so on x86 itself with its fusions switched off.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.data.reading import Photo
from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.files import atomic_folder

LABELS = LABEL_SETS["cihp"]
HEADS = ("fpn", "m2fp")
SIDE, SCENES = 96, 8
STEPS, BATCH, RATE = 100, 4, 3e-3


def photos(folder: Path) -> list[Path]:
    """Write the scenes that students learn as photos of 96x96 into a folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"scene-{seed}.png" for seed in range(SCENES)]
    for file, scene in zip(files, _scenes(), strict=True):
        Image.fromarray(scene.image).save(file)
    return files


def make(backbone: str, folder: Path) -> dict[str, Path]:
    """Make the artefacts of a backbone with both heads in fp32 and INT8, unless they are there; return them by name.

    Args:
        backbone: name of the backbone.
        folder: folder that keeps the artefacts.
    """
    kept = folder / backbone
    if not kept.is_dir():
        scenes = _scenes()
        images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
        parts = torch.from_numpy(np.stack([scene.parts for scene in scenes])).long()
        torch.manual_seed(0)
        fpn = FPNStudent(build_backbone(backbone), LABELS.num_parts)
        m2fp = M2FPStudent(fpn.backbone, LABELS.num_parts, LABELS.has_human)
        _train_parts(fpn, images, parts)
        m2fp.pixel_decoder.load_state_dict(fpn.decoder.state_dict())
        _train_queries(m2fp, images, parts)
        with atomic_folder(kept) as new:
            for head, network in {"fpn": fpn, "m2fp": m2fp}.items():
                _export(network, backbone, head, new, images[:, None].numpy())
    names = [(head, precision) for head in HEADS for precision in ("fp32", "int8")]
    return {f"{backbone} {head}, {precision}": kept / head / precision for head, precision in names}


def _scenes() -> list[Photo]:
    return [draw_scene(seed, SIDE, (2, 4)) for seed in range(SCENES)]


def _export(network: nn.Module, backbone: str, head: str, folder: Path, calibration: NDArray[np.uint8]) -> None:
    people = "persons" if head == "m2fp" else "none"
    card = Card(LABELS.to_dict(), {"size": SIDE, "fixed": True}, "fp32", head, backbone=backbone, people=people)
    fp32, int8 = (folder / head / precision / "model.onnx" for precision in ("fp32", "int8"))
    export_onnx(network, fp32, card)
    quantise_static(fp32, calibration, int8, replace(card, precision="int8"))


def _train_parts(network: FPNStudent, images: Tensor, parts: Tensor) -> None:
    """Train on the cross-entropy of the parts, with more weight on rare ones, until parts differ from pixel to pixel.

    Args:
        network: student.
        images: uint8 (N, S, S, 3).
        parts: int64 (N, S, S).
    """
    weight = _weight(parts)

    def loss(chosen: Tensor) -> Tensor:
        part_logits = network(images[chosen].permute(0, 3, 1, 2)).part_logits
        return F.cross_entropy(F.interpolate(part_logits, scale_factor=4.0, mode="bilinear"), parts[chosen], weight)

    _descend(network.parameters(), loss)
    network.eval()


def _train_queries(network: M2FPStudent, images: Tensor, parts: Tensor) -> None:
    """Train the transformer decoder of a student that has learnt features: each part has a query of its own."""
    network.eval()
    learning = [*network.mask_features.parameters(), *network.transformer_decoder.parameters()]
    own, weight = torch.arange(LABELS.num_parts), _weight(parts)

    def loss(chosen: Tensor) -> Tensor:
        queries = network(images[chosen].permute(0, 3, 1, 2)).queries
        assert queries is not None
        classes = torch.full(queries.class_logits.shape[:2], queries.class_logits.shape[2] - 1)
        classes[:, own] = own
        truth, masks = parts[chosen, 2::4, 2::4], queries.mask_logits[:, own]
        return (
            F.cross_entropy(queries.class_logits.transpose(1, 2), classes)
            + F.cross_entropy(masks, truth, weight)
            + F.binary_cross_entropy_with_logits(masks, F.one_hot(truth, LABELS.num_parts).permute(0, 3, 1, 2).float())
        )

    network.backbone.requires_grad_(False)
    network.pixel_decoder.requires_grad_(False)
    _descend(learning, loss)


def _weight(parts: Tensor) -> Tensor:
    """Return the weight of each part in the cross-entropy, float32 (P,): the root of how rare it is."""
    pixels = torch.bincount(parts.ravel(), minlength=LABELS.num_parts).clamp(min=1)
    return (parts.numel() / LABELS.num_parts / pixels).sqrt()


def _descend(parameters: Iterable[nn.Parameter], loss: Callable[[Tensor], Tensor]) -> None:
    """Minimise a loss of the indices of a batch."""
    optimiser = torch.optim.AdamW(parameters, RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, STEPS)
    draws = np.random.default_rng(0)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(torch.from_numpy(draws.integers(SCENES, size=BATCH))).backward()
        optimiser.step()
        schedule.step()
