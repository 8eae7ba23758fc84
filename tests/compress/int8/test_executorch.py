"""INT8 for ExecuTorch: the trained student keeps its parts, and ReLU6 does not cost resolution."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from m2fp_kd.compress.export.capabilities import Unsupported
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.artefact import Card, load_card
from m2fp_kd.runtime.engines import open_engine
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import SIZE, canvases, rectangles

pytest.importorskip("executorch")

from m2fp_kd.compress.int8.executorch import quantise_executorch


def test_the_trained_student_keeps_its_parts(student: nn.Module, card: Card, tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    quantise_executorch(student, canvases(range(200, 216)), path, replace(card, precision="int8"))
    assert load_card(path).outputs == ["part_logits"]
    parser = Parser.load(path)
    photos = [rectangles(seed) for seed in range(8)]
    correct = [np.mean(parser.part_map(photo.image) == photo.parts) for photo in photos]
    assert np.mean(correct) > 0.9


class _Clamped(nn.Module):
    """Logits of a convolution whose results span -100 to 100, of which ReLU6 keeps a small part."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.wide = nn.Conv2d(3, 4, 4, stride=4)
        nn.init.normal_(self.wide.weight, std=0.2, generator=torch.Generator().manual_seed(0))
        self.wide.bias.data = torch.tensor([-100.0, 2.0, 4.0, 100.0])
        self.clamp = nn.ReLU6(inplace=True)

    def forward(self, images: Tensor) -> StudentOutput:
        return StudentOutput(self.clamp(self.wide(self.normalise(images))))


def test_relu6_is_rounded_within_its_own_range(card: Card, tmp_path: Path) -> None:
    images, path = canvases(range(200, 216)), tmp_path / "model.pte"
    network = _Clamped().eval()
    quantise_executorch(network, images, path, replace(card, precision="int8"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images[0]).permute(0, 3, 1, 2)).part_logits.numpy()
    between = (expected > 0.5) & (expected < 5.5)
    error = np.abs(open_engine(path)(images[0])["part_logits"] - expected)[between]
    assert between.sum() > 100
    assert np.sqrt(np.mean(np.square(error))) < 0.06  # steps of 200 / 255 would give 0.23


def test_a_student_of_dynamic_size_is_refused(student: nn.Module, card: Card, tmp_path: Path) -> None:
    dynamic = replace(card, precision="int8", geometry={"size": SIZE, "fixed": False})
    with pytest.raises(Unsupported, match="one input size"):
        quantise_executorch(student, canvases(range(2)), tmp_path / "model.pte", dynamic)
    assert not list(tmp_path.iterdir())
