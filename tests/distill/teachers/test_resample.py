"""One resampler: shares are kept, distributions stay distributions, maps on the grid are unchanged."""

import pytest
import torch
import torch.nn.functional as F

from m2fp_kd.distill.teachers.resample import logarithm, resample, resample_log_parts


def test_a_smaller_grid_keeps_the_share_of_fine_structures() -> None:
    lines = (torch.arange(64) % 4 == 0).float().expand(1, 1, 64, 64)
    assert torch.allclose(resample(lines, (16, 16))[..., 1:-1], torch.tensor(0.25), atol=0.15)
    plain = F.interpolate(lines, size=(16, 16), mode="bilinear", align_corners=False)
    assert not torch.allclose(plain[..., 1:-1], torch.tensor(0.25), atol=0.15)


def test_a_larger_grid_is_interpolated_between_the_centres_of_cells() -> None:
    enlarged = resample(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
    assert torch.allclose(enlarged, torch.tensor([[[[0.0, 1.0, 3.0, 4.0]]]]))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_maps_keep_their_type(kind: torch.dtype) -> None:
    assert resample(torch.rand(1, 2, 8, 8).to(kind), (4, 4)).dtype == kind


def test_maps_on_the_grid_are_unchanged() -> None:
    maps = torch.rand(1, 2, 8, 8)
    assert resample(maps, (8, 8)) is maps and resample_log_parts(maps, (8, 8)) is maps


@pytest.mark.parametrize("side", [4, 32])
def test_log_parts_stay_a_distribution(side: int) -> None:
    log_parts = (20 * torch.randn(2, 20, 16, 16)).log_softmax(dim=1)
    found = resample_log_parts(log_parts, (side, side))
    assert torch.allclose(found.exp().sum(dim=1), torch.ones(2, side, side), atol=1e-5)
    expected = resample(log_parts.exp(), (side, side))
    assert torch.allclose(found.exp(), expected, atol=1e-6)


def test_the_logarithm_of_zero_is_finite() -> None:
    assert logarithm(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)).isfinite().all()
