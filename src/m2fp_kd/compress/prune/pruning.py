"""Prune channels by steps: each removes the least important channels, on the way to a goal."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from m2fp_kd.compress.options import Importance, Quantity
from m2fp_kd.compress.prune.cost import Cost, cost_of_layers, parameters, total
from m2fp_kd.compress.prune.graph import ChannelGroup, Prunable, channel_groups, first_layers
from m2fp_kd.compress.prune.importance import channel_scores
from m2fp_kd.compress.prune.latency import LatencyTable
from m2fp_kd.compress.prune.plan import LEAST, MULTIPLE, plan
from m2fp_kd.models.parameters import count_parameters


class PruneError(ValueError):
    """Raised for a goal that cannot be reached; the message says how far pruning gets."""


@dataclass(frozen=True)
class Goal:
    """Size that a network should reach.

    Attributes:
        quantity: quantity to reduce: parameters, multiply-accumulates of convolutions and linear layers, or their
            milliseconds as estimated by a `LatencyTable`.
        reduction: share to remove from the unpruned network, between 0 and 1.
        baseline: quantity of the unpruned network, see `measure`.
    """

    quantity: Quantity
    reduction: float
    baseline: float

    def __post_init__(self) -> None:
        if not 0 < self.reduction < 1:
            raise ValueError(
                f"the reduction of a goal must be between 0 and 1 (0.4 removes 40 %), not {self.reduction}"
            )

    @property
    def target(self) -> float:
        """Quantity to reach."""
        return self.baseline * (1 - self.reduction)


@dataclass(frozen=True)
class PruneResult:
    """Result of a step.

    Attributes:
        before: quantity before the step.
        after: quantity after it.
        done: whether the goal is reached.
    """

    before: float
    after: float
    done: bool


def measure(network: nn.Module, size: int, quantity: Quantity, table: LatencyTable | None = None) -> float:
    """Measure a quantity of a network.

    Args:
        network: network to measure.
        size: side of the square photo in pixels; a multiple of 32.
        quantity: quantity to measure.
        table: latency table, for milliseconds.
    """
    if quantity == "parameters":
        return count_parameters(network)
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

    Channels are ranked over the whole network and removed in blocks, so that a layer keeps a multiple of 8 channels and
    at least 16. Coupled layers (residual partners, squeeze-excite, depthwise) lose the same channels; the outputs of
    the network keep theirs. Parameters are new objects afterwards, without state in an optimiser.

    Args:
        network: network on any device, in any mode.
        size: side in pixels of the square photo that macs and milliseconds are for; a multiple of 32.
        goal: goal of all steps together; the last step ends at most one block below it.
        importance: see `channel_scores`.
        most: largest share of the quantity that one step may remove, between 0 and 1.
        table: latency table, for a goal in milliseconds.

    Raises:
        PruneError: the goal is out of reach, or no block of channels is small enough for such a step.
        ValueError: `channel_scores` refuses, or a goal in milliseconds has no table.
        TypeError: the network is neither a student of this project nor an M2FP.
    """
    before = measure(network, size, goal.quantity, table)
    if before <= goal.target:
        return PruneResult(before, before, done=True)
    cost = _cost(network, size, goal.quantity, table)
    wide = [group for group in channel_groups(network) if group.channels > LEAST]
    removed = plan(wide, channel_scores(wide, importance), cost, before, goal.target, before * (1 - most))
    if not any(removed):
        raise PruneError(_why_nothing(goal, before, most, exhausted=not wide))
    _remove(network, wide, removed)
    after = measure(network, size, goal.quantity, table)
    return PruneResult(before, after, done=after <= goal.target)


def prune_untrained(
    network: Prunable, size: int, goal: Goal, most: float = 0.15, table: LatencyTable | None = None
) -> None:
    """Prune a network by L1, in place, to a goal, without the fine-tuning that keeps its quality.

    Args:
        network, size, goal, most, table: as in `prune_towards`.

    Raises:
        PruneError: the goal is out of reach.
    """
    while not prune_towards(network, size, goal, "l1", most, table).done:
        pass


def _cost(network: nn.Module, size: int, quantity: Quantity, table: LatencyTable | None) -> Cost:
    match quantity:
        case "parameters":
            return parameters
        case "macs":
            return cost_of_layers(network, size, lambda layer: layer.macs)
        case "milliseconds":
            if table is None:
                raise ValueError(
                    "a goal in milliseconds needs a latency table; open one with compress.prune.latency.open_table"
                )
            return cost_of_layers(network, size, table.milliseconds)
        case _:
            raise ValueError(f"unknown quantity {quantity!r}; choose one of parameters, macs, milliseconds")


def _remove(network: Prunable, groups: Sequence[ChannelGroup], removed: Sequence[list[int]]) -> None:
    # Torch-Pruning's new weights have PyTorch's default memory format.
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
            f"every prunable layer is down to {LEAST} channels: {before:g} of {goal.baseline:g} {goal.quantity} are "
            f"left, {100 * (1 - before / goal.baseline):.1f} % fewer, but the goal is {100 * goal.reduction:g} %; "
            "choose a smaller reduction"
        )
    return (
        f"no block of {MULTIPLE} channels can be removed: all blocks save nothing, or the least important one saves "
        f"more than {100 * most:g} % of the {goal.quantity}; allow larger steps"
    )
