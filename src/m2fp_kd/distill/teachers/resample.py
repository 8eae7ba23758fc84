"""A teacher's answer on the student's grid: one way to resample for live and cached teachers."""

import torch.nn.functional as F
from torch import Tensor

LOWEST = 1e-8
"""Smallest probability whose logarithm is taken."""


def resample(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resample maps bilinearly; a smaller grid averages (antialiasing), so that fine structures keep their share.

    Args:
        maps: ``(B, C, h, w)``; returned unchanged if they are on the grid already.
        grid: height and width of the result.
    """
    if maps.shape[-2:] == grid:
        return maps
    # PyTorch antialiases no bfloat16 maps on CPUs.
    return F.interpolate(maps.float(), size=grid, mode="bilinear", antialias=True).to(maps.dtype)


def resample_log_parts(log_parts: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resample log-probabilities ``(B, P, h, w)`` by their probabilities, which stay a distribution in every cell."""
    if log_parts.shape[-2:] == grid:
        return log_parts
    return logarithm(resample(log_parts.exp(), grid))


def logarithm(parts: Tensor) -> Tensor:
    """Return the finite logarithm of probabilities ``(B, P, h, w)``, normalised over the parts."""
    return parts.clamp(min=LOWEST).log().log_softmax(dim=1)
