"""The mean that all losses of pixels share."""

import torch
from torch import Tensor


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of ``values`` by ``weights`` (bool, or floats >= 0) of the same shape; 0, gradient 0, where all weigh 0.

    A mean over pixels, not over the batch, keeps a loss independent of the photo's area.
    """
    weights = weights.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)
