import copy

import pytest
import torch
from torch import nn

from m2fp_kd.compress.export.fuse import fuse
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent


def _student(backbone: str) -> FPNStudent:
    """Return a network with random weights and BatchNorms that are not identities."""
    torch.manual_seed(0)
    student = FPNStudent(build_backbone(backbone), 7, width=32)
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return student.eval()


@pytest.mark.parametrize("backbone", ["mobilenetv3_small", "resnet18", "efficientnet_lite0", "shufflenetv2"])
@torch.inference_mode()
def test_the_fused_network_computes_the_same_without_batch_norms(backbone: str) -> None:
    student = _student(backbone)
    fused = fuse(copy.deepcopy(student))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    before, after = student(images).part_logits, fused(images).part_logits
    assert (after - before).abs().max() <= 1e-5 * before.abs().max()


def test_weights_are_channels_last() -> None:
    fused = fuse(_student("mobilenetv3_small"))
    convolutions = [module for module in fused.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.weight.is_contiguous(memory_format=torch.channels_last) for conv in convolutions)


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot fuse a network in training mode"):
        fuse(_student("mobilenetv3_small").train())
