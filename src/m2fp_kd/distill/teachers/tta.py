"""Test-time augmentation: a teacher's answers to several views of a photo, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry, Placement


@dataclass(frozen=True)
class Tta:
    """Views of a photo whose answers are averaged.

    Attributes:
        flip: whether the mirrored photo is a view too.
        scales: factors on the teacher's input size, each rounded to a multiple of the canvas step.

    Raises:
        ValueError: there is no scale, or one is not above 0.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))  # a list, from YAML
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"teacher.tta.scales must be factors above 0, such as [0.75, 1, 1.25], not {self.scales}")

    @property
    def views(self) -> int:
        """Number of forward passes per photo."""
        return len(self.scales) * (1 + self.flip)

    def geometries(self, geometry: Geometry) -> list[Geometry]:
        """Return the teacher's geometry for each scale."""
        sizes = [
            max(CANVAS_MULTIPLE, CANVAS_MULTIPLE * round(scale * geometry.size / CANVAS_MULTIPLE))
            for scale in self.scales
        ]
        return [Geometry(size, geometry.fixed) for size in sizes]


SINGLE_VIEW = Tta()
"""The unchanged photo alone."""


def mirrored(parts: Tensor, placement: Placement, flip_permutation: Sequence[int]) -> Tensor:
    """Mirror the probabilities of a photo and swap left and right parts; exact if the photo ends at a cell's border.

    Args:
        parts: ``(..., P, h, w)`` over the canvas; only the photo is mirrored, about its own centre.
        placement: placement of the photo on the canvas.
        flip_permutation: permutation of the label set that swaps left and right parts.
    """
    cells = parts.shape[-1]
    content = placement.content[1] * cells / placement.canvas[1]
    # Cell j's centre, j + 1/2, shows the point content - (j + 1/2), which lies between the centres of two cells.
    position = (content - 1 - torch.arange(cells, device=parts.device)).clamp(0, max(content - 1, 0))
    left = position.floor().long()
    between = torch.lerp(parts[..., left], parts[..., (left + 1).clamp(max=cells - 1)], position - left)
    return between[..., list(flip_permutation), :, :]
