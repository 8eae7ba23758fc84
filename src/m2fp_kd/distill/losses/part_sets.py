"""Labels of other data sets as sets of the student's parts.

A batch of a mix has labels of its photos' sources in ``parts``, and beside them for every photo ``source``, int64
``(B,)``, the number of its source, ``sets``, bool ``(B, L, P)``, the parts that each label of the source can be, and
``counts_as``, int64 ``(B, P)``, the label that a wrong part counts as.
"""

import torch
from torch import Tensor


def possible_parts(labels: Tensor, sets: Tensor, ignore_index: int) -> Tensor:
    """Return the parts that each pixel can be: bool ``(B, P, H, W)``; those of label 0 where pixels are ignored.

    Args:
        labels: labels of each photo's source, integer ``(B, H, W)``.
        sets: bool ``(B, L, P)``.
        ignore_index: value of unlabelled pixels.
    """
    rows = labels.masked_fill(labels == ignore_index, 0).long()
    photos = torch.arange(len(rows), device=rows.device)[:, None, None]
    return sets[photos, rows].movedim(-1, 1)
