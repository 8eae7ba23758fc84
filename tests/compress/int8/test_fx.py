from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2fp_kd.compress.export.capabilities import Unsupported
from m2fp_kd.compress.export.deployable import deployable
from m2fp_kd.compress.int8.fx import quantise_fx
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import canvases, tiny_m2fp_student

CIHP = LABEL_SETS["cihp"]


@pytest.fixture(scope="module")
def model(student, card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fx") / "model.pt"
    quantise_fx(student, canvases(range(200, 216)), path, replace(card, precision="int8"))
    return path


def _operations(model: Path) -> list[str]:
    return [node.kind() for node in torch.jit.load(model).inlined_graph.nodes()]


def test_the_artefact_agrees_with_fp32(model: Path, fp32: Path, photos) -> None:
    before, after = Parser.load(fp32, threads=1), Parser.load(model, threads=1)
    assert (after.engine.name, after.card.precision) == ("torchscript", "int8")
    maps = [np.stack([parser(photo.image).part_map for photo in photos]) for parser in (before, after)]
    assert (maps[0] == maps[1]).mean() > 0.98


def test_convolutions_are_int8_with_fused_relu_except_the_classifier(model: Path) -> None:
    operations = _operations(model)
    assert operations.count("quantized::conv2d_relu") == 2
    assert operations.count("quantized::conv2d") == 1  # before the hard swish
    assert operations.count("aten::_convolution") + operations.count("aten::conv2d") == 1
    assert operations.index("aten::dequantize") < operations.index("aten::upsample_bilinear2d")


def test_activations_use_half_their_range(student, card, model: Path) -> None:
    """So that the sums of a file made on any CPU overflow on none."""
    images = deployable(student, card).normalise(torch.from_numpy(np.concatenate(canvases(range(200, 216)))))
    nodes = torch.jit.load(model).inlined_graph.nodes()
    scale = next(node for node in nodes if node.kind() == "aten::quantize_per_tensor").inputsAt(1).toIValue()
    assert float(images.max() - images.min()) / scale == pytest.approx(127, rel=0.1)  # HistogramObserver clips a little


@pytest.mark.parametrize("backbone", ["mobilenetv3_small", "shufflenetv2", "efficientnet_lite0"])
def test_real_backbones_trace_and_keep_only_the_classifier_float(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = FPNStudent(build_backbone(backbone), CIHP.num_parts, width=32).eval()
    card = Card(CIHP.to_dict(), {"size": 64}, "int8", "fpn")
    quantise_fx(student, canvases(range(4)), tmp_path / "model.pt", card)
    operations = _operations(tmp_path / "model.pt")
    floats = operations.count("aten::_convolution") + operations.count("aten::conv2d")
    assert floats == 1
    assert Parser.load(tmp_path / "model.pt")(np.zeros((64, 64, 3), np.uint8)).part_map.shape == (64, 64)


def test_an_m2fp_head_is_refused_with_the_reason(tmp_path: Path) -> None:
    card = Card(CIHP.to_dict(), {"size": 64}, "int8", "m2fp")
    with pytest.raises(Unsupported, match="FX graph mode does not trace a transformer decoder"):
        quantise_fx(tiny_m2fp_student(CIHP), canvases(range(2)), tmp_path / "model.pt", card)
    assert not list(tmp_path.iterdir())


def test_calibrating_without_photos_is_an_error(student, card, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training photos"):
        quantise_fx(student, [], tmp_path / "model.pt", replace(card, precision="int8"))
