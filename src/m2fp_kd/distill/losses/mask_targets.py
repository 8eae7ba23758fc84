"""True masks of label maps, with which the queries of a mask-classification network are matched."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from m2fp_kd.labels import LabelSet

_ID_BITS = 32


@dataclass(frozen=True)
class MaskTargets:
    """The true masks of one image.

    Attributes:
        classes: int64 (T,), part index, or P for a person (M2FP's `Human`).
        masks: bool (T, H, W). Part masks share no pixel; a person's mask lies over the masks of its parts.
        valid: bool (H, W), false on ignored pixels, which belong to no mask and have no loss.
    """

    classes: Tensor
    masks: Tensor
    valid: Tensor


def mask_targets(parts: Tensor, persons: Tensor | None, instances: Tensor | None, labels: LabelSet) -> MaskTargets:
    """Split the label maps of one image into masks with classes, as in M2FP's training (Yang et al. 2023).

    With ids there is one mask per part instance and, if the label set has persons, one per person. Without ids there is
    one mask per part. In either case the background is one mask, and so are the pixels of a part outside its instances.
    If persons are labelled but part instances are not, each part of a person is an instance.

    Args:
        parts: integer (H, W), part indices and `labels.ignore_index`.
        persons: integer (H, W), person ids, 0 outside persons; or None.
        instances: integer (H, W), ids of part instances, 0 outside instances; or None.
        labels: label set of `parts`.

    Returns:
        Masks ordered by part, then by id, with persons last. T is 0 if every pixel is ignored.

    Raises:
        ValueError: the maps differ in size.
    """
    for name, ids in (("persons", persons), ("instances", instances)):
        if ids is not None and ids.shape != parts.shape:
            raise ValueError(
                f"{name} has size {tuple(ids.shape)} but parts {tuple(parts.shape)}: give maps of the same size"
            )
    valid = parts != labels.ignore_index
    keys = parts.long() << _ID_BITS
    ids = persons if instances is None else instances
    if ids is not None:
        keys = keys + torch.where(parts > 0, ids.long(), 0)
    keys, masks = _masks_by_key(keys, valid)
    classes = keys >> _ID_BITS
    if labels.has_human and persons is not None:
        present, person_masks = _masks_by_key(persons.long(), valid & (persons > 0))
        classes = torch.cat([classes, torch.full_like(present, labels.num_parts)])
        masks = torch.cat([masks, person_masks])
    return MaskTargets(classes, masks, valid)


def _masks_by_key(keys: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct keys (T,), >= 0, of the pixels `where`, ascending, and the mask (T, H, W) of each."""
    # Collapse runs of equal keys first: sorting every pixel would dominate the time.
    distinct = keys[where].unique_consecutive().unique()
    return distinct, torch.where(where, keys, -1) == distinct[:, None, None]


@dataclass(frozen=True)
class MaskBatch:
    """The true masks of a batch, image after image, for sampling at points.

    Points are (x, y) within 0..1. Maps have a margin of one pixel so that sampling needs no bounds check: in the margin
    masks are 0, as in Mask2Former, and `valid` repeats its border.

    Attributes:
        classes: int64 (T,), class of each mask.
        image: int64 (T,), index of the image of each mask.
        masks: bool (T, H+2, W+2).
        valid: bool (B, H+2, W+2).
        counts: number of masks in each image.
    """

    classes: Tensor
    image: Tensor
    masks: Tensor
    valid: Tensor
    counts: list[int]

    @classmethod
    def of(cls, targets: Sequence[MaskTargets]) -> "MaskBatch":
        """Join the targets of a batch; raise ValueError if their images differ in size."""
        sizes = {tuple(target.valid.shape) for target in targets}
        if len(sizes) != 1:
            raise ValueError(
                f"targets of a batch have sizes {sorted(sizes)}: crop or pad the label maps to the same size"
            )
        counts = [len(target.classes) for target in targets]
        # Replicate padding supports floats only.
        valid = torch.stack([target.valid for target in targets])[:, None].half()
        return cls(
            classes=torch.cat([target.classes for target in targets]),
            image=torch.repeat_interleave(torch.tensor(counts)).to(valid.device),
            masks=F.pad(torch.cat([target.masks for target in targets]), (1, 1, 1, 1)),
            valid=F.pad(valid, (1, 1, 1, 1), mode="replicate")[:, 0] > 0,
            counts=counts,
        )

    @property
    def labelled(self) -> Tensor:
        """Whether each image has a pixel that is not ignored: bool (B,)."""
        return self.valid.flatten(1).any(dim=1)

    def sample_masks(self, points: Tensor, target: Tensor) -> Tensor:
        """Sample the masks `target` (M,) at points (M, N, 2): float (M, N) within 0..1, bilinear."""
        return _bilinear(self.masks, target, points)

    def sample_valid(self, points: Tensor, image: Tensor) -> Tensor:
        """Sample the share of valid pixels at points (M, N, 2) of images (M,): float (M, N) within 0..1, bilinear."""
        return _bilinear(self.valid, image, points)

    def valid_cells(self, height: int, width: int) -> Tensor:
        """Mark the cells of a grid of height x width that have a valid pixel: bool (B, 1, h, w)."""
        return F.adaptive_max_pool2d(self.valid[:, None, 1:-1, 1:-1].float(), (height, width)) > 0


def _bilinear(maps: Tensor, rows: Tensor, points: Tensor) -> Tensor:
    """Sample maps[rows], bool (R, H+2, W+2), at points (M, N, 2) with pixel centres at .5: (M, N).

    Unlike `grid_sample` it needs neither float maps nor a copy of a map for every row.
    """
    height, width = maps.shape[1:]
    x = points[..., 0] * (width - 2) + 0.5
    y = points[..., 1] * (height - 2) + 0.5
    left, top = x.floor(), y.floor()
    index = ((rows[:, None] * height + top.long()) * width + left.long()).flatten()
    flat = maps.flatten()

    def pixels(offset: int) -> Tensor:
        return flat[offset:].index_select(0, index).view_as(x).float()

    upper = torch.lerp(pixels(0), pixels(1), x - left)
    lower = torch.lerp(pixels(width), pixels(width + 1), x - left)
    return torch.lerp(upper, lower, y - top)
