"""Which channels of a network hang together, and may go.

Torch-Pruning's dependency graph couples layers (Fang et al. 2023, "DepGraph"): what is added, gated or normalised
together loses the same channels. Only what may be pruned is traced: the backbone, up to the first layers behind it, and
the feed-forward networks of transformers. So widths of decoders, queries, masks and classes stay as they are.
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
    """Channels that only go together.

    Attributes:
        coupled: Torch-Pruning's group of all of them.
        channels: their number.
        members: layers that have them, and whether as inputs, outputs or both (BatchNorm, depthwise convolutions).
    """

    coupled: tp.dependency.Group
    channels: int
    members: tuple[tuple[Weighted, Axis], ...]

    def remove(self, channels: list[int]) -> None:
        """Remove these channels from every member, in place."""
        self.coupled.prune(sorted(channels))


def narrowed(widths: Widths, axis: Axis, channels: int) -> Widths:
    """Widths of a member without so many of a group's channels."""
    inputs, outputs, groups = widths
    match axis:
        case "inputs":
            return Widths(inputs - channels, outputs, groups)
        case "outputs":
            return Widths(inputs, outputs - channels, groups)
        case "both":
            return Widths(inputs - channels, outputs - channels, groups - channels if groups > 1 else 1)


def channel_groups(network: Prunable) -> list[ChannelGroup]:
    """All groups of channels that may be pruned.

    Args:
        network: in any mode; autograd traces it, so its parameters must require gradients.

    Raises:
        TypeError: not a network of ours.
    """
    traced = _Traced(network)
    device = next(network.parameters()).device
    with torch.enable_grad(), evaluating(network):
        graph = tp.DependencyGraph().build_dependency(traced, torch.zeros(1, 3, 64, 64, device=device))
    groups = graph.get_all_groups(ignored_layers=traced.kept, root_module_types=[nn.Conv2d, nn.Linear])
    return [ChannelGroup(group, len(group[0].idxs), tuple(_members(graph, group))) for group in groups]


def first_layers(network: Prunable) -> list[nn.Conv2d]:
    """The convolutions that the backbone's levels go into, finest first.

    Raises:
        TypeError: not a network of ours.
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
    """The part of a network that may be pruned.

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
    """Levels of a ShuffleNetV2 and the ends of its branches, cut apart where channels are shuffled.

    A shuffle ties channels to their places: half of what comes out goes straight through the next block, and so on, so
    that a channel could only go with a whole pattern of others. Therefore what is concatenated and shuffled stays as it
    is, and what may be pruned lies between: the channels inside a block's second branch, and the stem's.
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
    """Layers of a ShuffleNetV2 whose channels stay: those that write or pass on what is shuffled."""
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
