"""Find the groups of coupled channels that may be pruned.

Torch-Pruning's dependency graph couples layers (Fang et al. 2023, "DepGraph"): layers that are added, gated or
normalised together lose the same channels. Only prunable parts are traced: the backbone, up to the first layers behind
it, and the feed-forward networks of transformers. The widths of decoders, queries, masks and classes do not change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import Tensor, nn

from m2fp_kd.compress.prune.cost import Weighted, Widths, evaluating
from m2fp_kd.models.backbones import ShuffleNetBody
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.m2fp_student import M2FPStudent
from m2fp_kd.models.pixel_decoder import EncoderLayer
from m2fp_kd.models.transformer_decoder import DecoderLayer

Prunable = FPNStudent | M2FPStudent | M2FP

Axis = Literal["inputs", "outputs", "both"]


@dataclass(frozen=True)
class ChannelGroup:
    """Coupled channels, which can only be removed together.

    Attributes:
        coupled: Torch-Pruning's group.
        channels: number of channels.
        members: layers that have these channels as inputs, outputs or both (BatchNorm, depthwise convolutions).
    """

    coupled: tp.dependency.Group
    channels: int
    members: tuple[tuple[Weighted, Axis], ...]

    def remove(self, channels: list[int]) -> None:
        """Remove channels from every member, in place."""
        self.coupled.prune(sorted(channels))


def narrowed(widths: Widths, axis: Axis, channels: int) -> Widths:
    """Return the widths of a member after removing ``channels`` channels of its group."""
    inputs, outputs, groups = widths
    match axis:
        case "inputs":
            return Widths(inputs - channels, outputs, groups)
        case "outputs":
            return Widths(inputs, outputs - channels, groups)
        case "both":
            return Widths(inputs - channels, outputs - channels, groups - channels if groups > 1 else 1)


def channel_groups(network: Prunable) -> list[ChannelGroup]:
    """Return all groups of channels that may be pruned.

    Args:
        network: network in any mode; autograd traces it, so its parameters must require gradients.

    Raises:
        TypeError: the network is neither a student of this project nor an M2FP.
    """
    traced = _Traced(network)
    device = next(network.parameters()).device
    with torch.enable_grad(), evaluating(network):
        graph = tp.DependencyGraph().build_dependency(traced, torch.zeros(1, 3, 64, 64, device=device))
    groups = graph.get_all_groups(ignored_layers=traced.kept, root_module_types=[nn.Conv2d, nn.Linear])
    return [ChannelGroup(group, len(group[0].idxs), tuple(_members(graph, group))) for group in groups]


def first_layers(network: Prunable) -> list[nn.Conv2d]:
    """Return the convolutions that read the backbone's levels, finest first.

    Raises:
        TypeError: the network is neither a student of this project nor an M2FP.
    """
    match network:
        case FPNStudent():
            laterals = [*network.decoder.laterals]
        case M2FPStudent():
            laterals = [*network.pixel_decoder.laterals]
        case M2FP():
            laterals = [network.pixel_decoder.lateral, *network.pixel_decoder.projections[::-1]]
        case _:
            raise TypeError(f"only students and M2FP can be pruned, not a {type(network).__name__}")
    return [cast(nn.Conv2d, cast(nn.Sequential, lateral)[0]) for lateral in laterals]


class _Traced(nn.Module):
    """The prunable part of a network.

    Attributes:
        kept: layers whose outputs keep their channels.
    """

    def __init__(self, network: Prunable) -> None:
        super().__init__()
        self.first = nn.ModuleList(first_layers(network))
        self.backbone = network.backbone
        self.normalise = network.normalise
        layers = [layer for layer in network.modules() if isinstance(layer, EncoderLayer | DecoderLayer)]
        self.hidden = nn.ModuleList(layer.linear1 for layer in layers)
        self.outer = nn.ModuleList(layer.linear2 for layer in layers)
        self.kept: list[nn.Module] = [*self.first, *self.outer]
        if isinstance(self.backbone.body, ShuffleNetBody):
            self.kept += _shuffled(self.backbone.body)

    def forward(self, images: Tensor) -> list[Tensor]:
        images = self.normalise(images)
        body = self.backbone.body
        levels, ends = _shuffle_net(body, images) if isinstance(body, ShuffleNetBody) else (body(images), [])
        ends += [layer(level) for layer, level in zip(self.first, levels, strict=True)]
        for hidden, outer in zip(self.hidden, self.outer, strict=True):
            token = images.new_zeros(1, cast(nn.Linear, outer).out_features)
            ends.append(outer(F.relu(hidden(token))))
        return ends


def _shuffle_net(body: ShuffleNetBody, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the levels of a ShuffleNetV2 and the ends of its branches, detached wherever channels are shuffled.

    A shuffle ties channels to their positions: half of the output passes straight through the next block, and so on, so
    that a channel could only be removed with a whole pattern of others. Therefore concatenated and shuffled channels
    stay, and only those inside a block's second branch and those of the stem may be pruned.
    """
    level = body.maxpool(body.conv1(images))
    levels, ends = [level], []
    for stage in (body.stage2, body.stage3, body.stage4):
        for block in stage:
            if block.stride == 1:
                straight, half = level.chunk(2, dim=1)
                branches = [block.branch2(half)]
                level = torch.cat([straight, *branches], dim=1).detach()
            else:
                branches = [block.branch1(level), block.branch2(level)]
                level = torch.cat(branches, dim=1).detach()
            ends += branches
        levels.append(level)
    return levels, ends


def _shuffled(body: ShuffleNetBody) -> list[nn.Module]:
    """Return the layers of a ShuffleNetV2 whose channels stay: those that write or pass on shuffled channels."""
    blocks = [block for stage in (body.stage2, body.stage3, body.stage4) for block in stage]
    branches = [branch for block in blocks for branch in (block.branch1, block.branch2) if len(branch)]
    writing = [[layer for layer in branch if isinstance(layer, nn.Conv2d)][-1] for branch in branches]
    return [*writing, body.stage3[0].branch1[0], body.stage4[0].branch1[0]]


def _members(graph: tp.DependencyGraph, group: tp.dependency.Group) -> Iterator[tuple[Weighted, Axis]]:
    for dependency, _ in group:
        layer = dependency.target.module
        if isinstance(layer, nn.BatchNorm2d) or (isinstance(layer, nn.Conv2d) and layer.groups > 1):
            yield layer, "both"
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            yield layer, "outputs" if graph.is_out_channel_pruning_fn(dependency.handler) else "inputs"
