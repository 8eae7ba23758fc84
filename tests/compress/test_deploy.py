import pytest
import torch
from torch import nn

from m2fp_kd.compress.deploy import Deployable
from m2fp_kd.models.outputs import StudentOutput


class _Slope(nn.Module):
    """Two parts whose logits cross between the second and the third column at stride 4."""

    def forward(self, images: torch.Tensor) -> StudentOutput:
        slope = torch.tensor([3.0, 1.0, -1.0, -3.0]).expand(len(images), 1, 4, 4)
        return StudentOutput(torch.cat([slope, torch.zeros_like(slope)], dim=1))


def test_part_map_is_the_argmax_of_upsampled_logits() -> None:
    (part_map,) = Deployable(_Slope(), "fpn")(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    assert part_map.dtype == torch.uint8
    assert part_map.shape == (2, 16, 16)
    assert part_map[1, 5].tolist() == [0] * 8 + [1] * 8


def test_unknown_head_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="fpn, m2fp"):
        Deployable(_Slope(), "unet")
