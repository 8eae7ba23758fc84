"""Helpers of the losses over pixels: the masked mean, and labels at the logits' size."""

import torch
import torch.nn.functional as F
from torch import Tensor

from m2fp_kd.distill.losses.processes import sum_of_processes


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of ``values`` weighted by ``weights`` (bool, or floats >= 0) of the same shape.

    Without any weight above 0, value and gradient are 0.

    A mean over pixels, not over the batch, keeps a loss independent of the photo's area. In a distributed training it
    is the mean over the values of all processes.
    """
    weights = weights.to(values.dtype)
    total, weight = sum_of_processes(torch.stack([(values * weights).sum(), weights.sum()]))
    return total / weight.clamp(min=torch.finfo(values.dtype).tiny)


def parts_on_grid(parts: Tensor, like: Tensor) -> Tensor:
    """Resize part maps ``(B, H, W)`` to ``like``'s grid ``(B, P, h, w)``, nearest neighbour: int64 ``(B, h, w)``."""
    return F.interpolate(parts[:, None].float(), size=like.shape[-2:], mode="nearest-exact")[:, 0].long()
