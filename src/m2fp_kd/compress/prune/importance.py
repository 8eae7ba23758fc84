"""Score the importance of channels, and train so that unimportant ones vanish."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
import torch_pruning as tp
from torch import Tensor, nn

from m2fp_kd.compress.options import Importance
from m2fp_kd.compress.prune.graph import ChannelGroup


def channel_scores(groups: Sequence[ChannelGroup], importance: Importance) -> list[Tensor]:
    """Return the importance of every channel of every group.

    It is the channel's share of what its group would have left without the less important ones (the layer-adaptive
    score of Lee et al. 2021, "LAMP"). Such shares are comparable across layers, and the last channel of a layer has a
    share of 1. With scores of mean 1 in each group instead, a channel of 24 counts as little as one of 960, and narrow
    layers are pruned first: on a trained EfficientNet-Lite0 student, removing 15 % of the parameters by "taylor" then
    changed 20 % of the pixels, with shares 3 %.

    Args:
        groups: groups of one network.
        importance: "l1", the mean absolute sum of the weights that make and use a channel (Li et al. 2017, grouped as
            in Fang et al. 2023); "bn_scale", the BatchNorm scales (Liu et al. 2017, "Network Slimming"), and l1 in
            groups without BatchNorm; "taylor", the first-order change of the loss (Molchanov et al. 2019), which needs
            the gradients of a loss, summed over any number of batches.

    Raises:
        ValueError: the importance is unknown, "taylor" has no gradients, or weights or gradients are not finite.
    """
    l1 = tp.importance.GroupMagnitudeImportance(p=1, normalizer=None)
    match importance:
        case "l1":
            scores = [l1(group.coupled) for group in groups]
        case "bn_scale":
            scale = tp.importance.BNScaleImportance(normalizer=None)
            has_scale = [any(isinstance(member, nn.BatchNorm2d) for member, _ in group.members) for group in groups]
            scores = [(scale if scaled else l1)(group.coupled) for group, scaled in zip(groups, has_scale, strict=True)]
        case "taylor":
            _check_gradients(groups)
            taylor = tp.importance.GroupTaylorImportance(normalizer=None)
            scores = [taylor(group.coupled) for group in groups]
        case _:
            raise ValueError(f"unknown importance {importance!r}; choose one of l1, bn_scale, taylor")
    if not all(score.isfinite().all() for score in scores):
        raise ValueError(f"{importance} importance is not finite: the network diverged, or its gradients overflowed")
    return [_shares(score) for score in scores]


class ScaleSparsity(pl.Callback):
    """Sparsity training of Network Slimming (Liu et al. 2017): an L1 penalty on the backbone's BatchNorm scales.

    Args:
        strength: factor of the penalty, lambda in the paper (1e-5 to 1e-4 there).
    """

    def __init__(self, strength: float = 1e-4) -> None:
        self.strength = strength

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: torch.optim.Optimizer) -> None:
        add_scale_sparsity(module.student.backbone, self.strength)


@torch.no_grad()
def add_scale_sparsity(network: nn.Module, strength: float) -> None:
    """Add the gradient of `strength` times the sum of all absolute BatchNorm scales; call this after backward."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.weight.grad is not None:
            layer.weight.grad += strength * layer.weight.sign()


def _shares(scores: Tensor) -> Tensor:
    ascending, order = scores.sort()
    left = ascending.flip(0).cumsum(0).flip(0).clamp_min(torch.finfo(scores.dtype).tiny)
    return torch.empty_like(scores).scatter_(0, order, ascending / left)


def _check_gradients(groups: Sequence[ChannelGroup]) -> None:
    members = (member for group in groups for member, _ in group.members)
    if any(member.weight.grad is None for member in members):
        raise ValueError(
            "taylor importance needs gradients, but some layers have none: call backward on the loss of some batches "
            "before pruning, without zeroing the gradients in between"
        )
