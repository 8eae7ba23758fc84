"""Channel pruning, one step at a time: the least important channels go until a part of the way to the goal is done."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from m2fp_kd.compress.latency import LatencyTable
from m2fp_kd.compress.prune_cost import Cost, Weighted, Widths, cost_of_layers, parameters, total, widths_of
from m2fp_kd.compress.prune_graph import ChannelGroup, Prunable, channel_groups, first_layers, narrowed
from m2fp_kd.compress.prune_importance import Importance, channel_scores

Quantity = Literal["parameters", "macs", "milliseconds"]

MULTIPLE = 8
"""Channels that go or stay together, so that engines' vectors are full."""
LEAST = 16
"""No layer is left with fewer channels than this."""


class PruneError(ValueError):
    """A goal that cannot be reached; the message says how far one gets."""


@dataclass(frozen=True)
class Goal:
    """How small a network is to become.

    Attributes:
        quantity: what is counted: parameters; multiply-accumulates of convolutions and linear layers; or milliseconds
            of the same as a `LatencyTable` estimates them.
        reduction: how much less of it than the unpruned network has, between 0 and 1.
        baseline: of the unpruned network, as `measure` gives it.
    """

    quantity: Quantity
    reduction: float
    baseline: float

    def __post_init__(self) -> None:
        if not 0 < self.reduction < 1:
            raise ValueError(f"a goal's reduction lies between 0 and 1 (0.4: 40 % fewer), not {self.reduction}")

    @property
    def target(self) -> float:
        """What is to be left."""
        return self.baseline * (1 - self.reduction)


@dataclass(frozen=True)
class PruneResult:
    """What a step did.

    Attributes:
        before: the quantity before the step.
        after: and after it.
        goal: the step's goal.
        done: whether the goal is reached.
    """

    before: float
    after: float
    goal: Goal
    done: bool


def measure(network: nn.Module, size: int, quantity: Quantity, table: LatencyTable | None = None) -> float:
    """How much of a quantity a network has.

    Args:
        size: side of the square photo, pixels; a multiple of 32.
        table: for milliseconds.
    """
    if quantity == "parameters":
        return sum(parameter.numel() for parameter in network.parameters())
    return total(network, _cost(network, size, quantity, table))


def prune_towards(
    network: Prunable,
    size: int,
    goal: Goal,
    importance: Importance,
    most: float = 0.15,
    table: LatencyTable | None = None,
) -> PruneResult:
    """Prune a network, in place, by one step towards a goal; fine-tune it before the next.

    Channels are ranked over the whole network and go in blocks, so that a layer keeps a multiple of 8 channels and at
    least 16. Layers that are coupled (residual partners, squeeze-excite, depthwise) lose the same ones; what a network
    gives out keeps its channels. Parameters are new objects afterwards, without state in an optimiser.

    Args:
        network: on any device, in any mode.
        size: side of the square photo that macs and milliseconds are counted for, pixels; a multiple of 32.
        goal: where the last of all steps is to end; it ends at most one block below.
        importance: see `channel_scores`.
        most: largest part of the quantity that one step may take away, between 0 and 1.
        table: for a goal in milliseconds.

    Raises:
        PruneError: the goal is out of reach, or no block of channels is small enough for such a step.
        ValueError: what `channel_scores` refuses, or a goal in milliseconds without a table.
        TypeError: not a network of ours.
    """
    before = measure(network, size, goal.quantity, table)
    if before <= goal.target:
        return PruneResult(before, before, goal, done=True)
    groups = channel_groups(network)
    cost = _cost(network, size, goal.quantity, table)
    scores = channel_scores(groups, importance)
    removed = _choose(groups, scores, cost, before, goal.target, before * (1 - most))
    if not any(removed):
        raise PruneError(_why_nothing(goal, before, most, exhausted=all(group.channels <= LEAST for group in groups)))
    _remove(network, groups, removed)
    after = measure(network, size, goal.quantity, table)
    return PruneResult(before, after, goal, done=after <= goal.target)


@dataclass(frozen=True)
class _Block:
    """Channels of one group, the next to go after those of the group's blocks before it."""

    score: float
    group: int
    channels: list[int]


def _cost(network: nn.Module, size: int, quantity: Quantity, table: LatencyTable | None) -> Cost:
    match quantity:
        case "parameters":
            return parameters
        case "macs":
            return cost_of_layers(network, size, lambda layer: layer.macs)
        case "milliseconds":
            if table is None:
                raise ValueError("a goal in milliseconds needs a latency table; see compress.latency.open_table")
            return cost_of_layers(network, size, table.milliseconds)
        case _:
            raise ValueError(f"unknown quantity {quantity!r}; choose one of parameters, macs, milliseconds")


def _ranked(scores: Sequence[Tensor], savings: Sequence[float]) -> list[_Block]:
    """Blocks of all groups in the order in which they go; those of a group that saves nothing come last.

    A channel's score is divided by the square root of what it saves. By scores alone, a goal that the widest layers
    hardly count for (macs, milliseconds) would first empty those; by scores per saving, the early layers, which hurts
    more. On a trained EfficientNet-Lite0 student both kept fewer pixels the same than the root between them.
    """
    blocks = []
    for index, (score, saving) in enumerate(zip(scores, savings, strict=True)):
        order, first = score.argsort(stable=True).tolist(), 0
        while len(order) - first > LEAST:
            last = first + ((len(order) - first) % MULTIPLE or MULTIPLE)
            channels = order[first:last]
            value = score[channels].mean().item()
            blocks.append(_Block(value / math.sqrt(saving) if saving > 0 else math.inf, index, channels))
            first = last
    return sorted(blocks, key=lambda block: block.score)


def _narrow(group: ChannelGroup, widths: Mapping[Weighted, Widths], channels: int) -> dict[Weighted, Widths]:
    """Widths of a group's members without so many of its channels."""
    narrow: dict[Weighted, Widths] = {}
    for member, axis in group.members:
        narrow[member] = narrowed(narrow.get(member, widths[member]), axis, channels)
    return narrow


def _saving(cost: Cost, widths: Mapping[Weighted, Widths], narrow: Mapping[Weighted, Widths]) -> float:
    return sum(cost(member, widths[member]) - cost(member, new) for member, new in narrow.items())


def _choose(
    groups: Sequence[ChannelGroup], scores: Sequence[Tensor], cost: Cost, left: float, target: float, floor: float
) -> list[list[int]]:
    """Channels to remove from each group: blocks in their order until no more than `target` of `left` is left.

    A block that would leave less than `floor` stays, and with it those of its group that would go after it.
    """
    widths = {member: widths_of(member) for group in groups for member, _ in group.members}
    savings = [
        _saving(cost, widths, _narrow(group, widths, MULTIPLE)) if group.channels > LEAST else 0.0 for group in groups
    ]
    removed: list[list[int]] = [[] for _ in groups]
    closed: set[int] = set()
    for block in _ranked(scores, savings):
        if left <= target:
            break
        if block.group in closed:
            continue
        narrow = _narrow(groups[block.group], widths, len(block.channels))
        saved = _saving(cost, widths, narrow)
        if left - saved < floor:
            closed.add(block.group)
            continue
        left -= saved
        widths |= narrow
        removed[block.group] += block.channels
    return removed


def _remove(network: Prunable, groups: Sequence[ChannelGroup], removed: Sequence[list[int]]) -> None:
    # Torch-Pruning's new weights lie in memory in PyTorch's default order.
    channels_last = [
        name
        for name, weight in network.named_parameters()
        if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    ]
    for group, channels in zip(groups, removed, strict=True):
        if channels:
            group.remove(channels)
    for name in channels_last:
        weight = network.get_parameter(name)
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    network.backbone.channels = tuple(layer.in_channels for layer in first_layers(network))


def _why_nothing(goal: Goal, before: float, most: float, exhausted: bool) -> str:
    if exhausted:
        return (
            f"every layer that may be pruned is down to {LEAST} channels: {before:g} of {goal.baseline:g} "
            f"{goal.quantity} are left, {100 * (1 - before / goal.baseline):.1f} % fewer; the goal is "
            f"{100 * goal.reduction:g} %"
        )
    return f"no block of {MULTIPLE} channels has at most {100 * most:g} % of the {goal.quantity}; allow larger steps"
