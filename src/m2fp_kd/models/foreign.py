"""Other people's segmentation networks, with the input and output of this project's networks."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import M2FPOutput, StudentOutput, log_parts

LOWEST = 1e-12
"""Smallest probability whose logarithm is taken, for parts without a class."""


class ForeignNetwork(nn.Module):
    """A semantic or mask-classification network whose classes are mapped to parts.

    Args:
        network: maps normalised images (B, 3, H, W) to class logits (B, K, h, w), or to an object that has them as
            ``logits``, or queries as ``class_queries_logits`` (B, Q, K + 1) and ``masks_queries_logits``
            (B, Q, h, w), the outputs of `transformers`.
        shares: share of each class that goes to each part, (K, P); rows sum to 1.
        mean: mean of each channel of its images, 0..255.
        std: standard deviation of each channel, 0..255.
        fixed: height and width of the only images that it takes; None for any. Other images are resized.
    """

    shares: Tensor

    def __init__(
        self,
        network: nn.Module,
        shares: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        fixed: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.network = network
        self.fixed = fixed
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, images: Tensor) -> StudentOutput:
        """Predict log parts (B, P, h, w) at the network's own stride.

        Args:
            images: (B, 3, H, W) RGB 0..255.

        Raises:
            ValueError: the network has another number of classes.
        """
        images = images.float()
        if self.fixed is not None and images.shape[-2:] != self.fixed:
            images = F.interpolate(images, self.fixed, mode="bilinear", antialias=True)
        classes = self._log_classes(self.network(self.normalise(images).contiguous()))
        parts = torch.einsum("bkhw,kp->bphw", classes.exp(), self.shares)
        return StudentOutput(parts.clamp(min=LOWEST).log().log_softmax(dim=1))

    def _log_classes(self, output: Any) -> Tensor:
        """Return log-probabilities (B, K, h, w) of the classes."""
        queries = getattr(output, "class_queries_logits", None)
        logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
        found = queries.shape[-1] - 1 if queries is not None else logits.shape[1] if logits is not None else None
        if found != len(self.shares):
            raise ValueError(f"the network gives {found} classes, but {len(self.shares)} have a name")
        if queries is not None:
            return log_parts(M2FPOutput(queries, output.masks_queries_logits), found)
        return logits.float().log_softmax(dim=1)  # type: ignore[union-attr]
