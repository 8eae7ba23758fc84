"""Several looks of a teacher at one photo, averaged: mirrored, and at other sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from m2fp_kd.runtime.geometry import CANVAS_MULTIPLE, Geometry, Placement


@dataclass(frozen=True)
class Tta:
    """Which looks are averaged.

    Attributes:
        flip: also look at the mirrored photo.
        scales: factors on the teacher's input size, each rounded to a possible size.

    Raises:
        ValueError: no scale, or one that is not above 0.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))  # a list, from YAML
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"teacher.tta.scales are factors above 0, say [0.75, 1, 1.25], not {self.scales}")

    @property
    def views(self) -> int:
        """How often the network is asked about a photo."""
        return len(self.scales) * (1 + self.flip)

    def geometries(self, geometry: Geometry) -> list[Geometry]:
        """How photos enter the teacher, once for each scale."""
        sizes = [
            max(CANVAS_MULTIPLE, CANVAS_MULTIPLE * round(scale * geometry.size / CANVAS_MULTIPLE))
            for scale in self.scales
        ]
        return [Geometry(size, geometry.fixed) for size in sizes]


SINGLE_VIEW = Tta()
"""One look at the photo as it is."""


def mirrored(parts: Tensor, placement: Placement, flip_permutation: Sequence[int]) -> Tensor:
    """Probabilities of a photo -> those of the mirrored photo, left and right parts swapped; exact for whole cells.

    Args:
        parts: ``(..., P, h, w)`` over the canvas; only the photo is mirrored, about its own centre.
        placement: where the photo lies on the canvas.
        flip_permutation: of the label set.
    """
    cells = parts.shape[-1]
    content = placement.content[1] * cells / placement.canvas[1]
    # Cell j's centre, j + 1/2, shows what was at content - (j + 1/2), between the centres of two cells.
    position = (content - 1 - torch.arange(cells, device=parts.device)).clamp(0, max(content - 1, 0))
    left = position.floor().long()
    between = torch.lerp(parts[..., left], parts[..., (left + 1).clamp(max=cells - 1)], position - left)
    return between[..., list(flip_permutation), :, :]
