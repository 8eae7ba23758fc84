from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from m2fp_kd.compress.export.onnx import export_onnx
from m2fp_kd.compress.export.reduction import BlockReduction, reduced_in_blocks
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent, Reduction
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.engines import open_engine

LABELS = LABEL_SETS["pascal_person_part"]
ROUNDING = 3e-4
"""PyTorch computes the positions of samples in float32, so its samples are off by up to this between unlike pixels."""


@pytest.mark.parametrize(
    ("share", "height", "width"), [("3/4", 128, 256), ("5/8", 256, 512), ("1/2", 64, 128), ("7/8", 256, 256)]
)
def test_blocks_are_the_bilinear_reduction(share: str, height: int, width: int) -> None:
    images = torch.randn(2, 3, height, width)
    found = BlockReduction(Fraction(share))(images)
    torch.testing.assert_close(found, Reduction(float(Fraction(share)))(images), atol=ROUNDING, rtol=0)


def test_blocks_sample_a_ramp_where_the_centres_of_larger_pixels_lie() -> None:
    ramp = torch.arange(32.0).expand(1, 3, 32, 32)
    expected = (torch.arange(24.0) + 0.5) * 4 / 3 - 0.5
    torch.testing.assert_close(BlockReduction(Fraction(3, 4))(ramp), expected.expand(1, 3, 24, 24), atol=1e-5, rtol=0)
    turned = BlockReduction(Fraction(3, 4))(ramp.mT)
    torch.testing.assert_close(turned, expected[:, None].expand(1, 3, 24, 24), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("scale", "side", "blocks"),
    [(0.75, 128, True), (0.625, 256, True), (0.75, 64, False), (0.7, 512, False), (1, 128, False)],
    ids=["3/4", "5/8", "a multiple of 32 that whole blocks do not make", "blocks too large", "no reduction"],
)
def test_only_whole_small_blocks_replace_a_reduction(scale: float, side: int, blocks: bool) -> None:
    network = nn.Sequential(nn.Sequential(Reduction(scale)))
    images = torch.randn(1, 3, side, side)
    expected = network(images)
    reduced_in_blocks(network, side)
    assert any(isinstance(module, BlockReduction) for module in network.modules()) == blocks
    torch.testing.assert_close(network(images), expected, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("fixed", [True, False])
def test_only_a_fixed_size_is_reduced_in_blocks(fixed: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = FPNStudent(build_backbone("mobilenetv3_small"), LABELS.num_parts, width=16, scale=0.75).eval()
    export_onnx(student, tmp_path / "model.onnx", Card(LABELS.to_dict(), {"size": 128, "fixed": fixed}, "fp32", "fpn"))
    operations = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert ("DepthToSpace" in operations) == fixed
    canvases = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8)
    with torch.no_grad():
        expected = student(torch.from_numpy(canvases).permute(0, 3, 1, 2)).part_logits.numpy()
    for engine in ("openvino", "onnxruntime"):
        found = open_engine(tmp_path / "model.onnx", engine, threads=1)(canvases)["part_logits"]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert isinstance(student.reduce, Reduction)
