"""The colour student, trained, exported and quantised once per session."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.int8.static import quantise_static
from m2fp_kd.data.reading import Photo
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry
from tests.compress.colour_student import COLOURS, SIZE, ColourStudent, canvases, rectangles


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def student() -> nn.Module:
    """Return the trained student in eval mode."""
    torch.manual_seed(0)
    net = ColourStudent()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    photos = [rectangles(seed, SIZE, SIZE) for seed in range(100, 132)]
    images = torch.from_numpy(np.stack([photo.image for photo in photos])).permute(0, 3, 1, 2)
    parts = torch.from_numpy(np.stack([photo.parts for photo in photos])).long()
    for _ in range(60):
        logits = F.interpolate(net(images).part_logits, scale_factor=4, mode="bilinear")
        loss = F.cross_entropy(logits, parts)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="session")
def photos() -> list[Photo]:
    return [rectangles(seed) for seed in range(8)]


@pytest.fixture(scope="session")
def card() -> Card:
    return Card(COLOURS.to_dict(), asdict(Geometry(SIZE)), "fp32", "fpn")


@pytest.fixture(scope="session")
def fp32(student: nn.Module, card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the student."""
    path = tmp_path_factory.mktemp("fp32") / "model.onnx"
    export_onnx(student, path, card)
    return path


@pytest.fixture(scope="session")
def int8(fp32: Path, card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quantise the student."""
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    quantise_static(fp32, canvases(range(200, 216)), path, replace(card, precision="int8"))
    return path
