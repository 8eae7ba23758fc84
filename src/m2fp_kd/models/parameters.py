"""The number of a network's parameters."""

from torch import nn


def count_parameters(network: nn.Module) -> int:
    """Return the number of parameters; shared ones count once, and buffers not at all."""
    return sum(weight.numel() for weight in network.parameters())
