"""Cost of a network's convolutions and linear layers, by layer and as a function of their widths."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Widths(NamedTuple):
    """Channels of a convolution, a linear layer or a BatchNorm (which has as many inputs as outputs)."""

    inputs: int
    outputs: int
    groups: int = 1


@dataclass(frozen=True)
class Layer:
    """One call of a convolution. A linear layer over n tokens counts as a 1x1 convolution of n x 1 pixels.

    Attributes:
        inputs: input channels.
        outputs: output channels.
        groups: groups, as in `nn.Conv2d`.
        kernel: height and width of the kernel.
        stride: stride of both axes.
        size: height and width of the output.
    """

    inputs: int
    outputs: int
    groups: int
    kernel: tuple[int, int]
    stride: int
    size: tuple[int, int]

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one photo."""
        return self.inputs // self.groups * self.outputs * math.prod(self.kernel) * math.prod(self.size)


Weighted = nn.Conv2d | nn.Linear | nn.BatchNorm2d
"""Layers that have widths."""

Cost = Callable[[Weighted, Widths], float]
"""Cost of a layer at given widths."""


def widths_of(layer: Weighted) -> Widths:
    """Return the present widths of a layer."""
    match layer:
        case nn.Conv2d():
            return Widths(layer.in_channels, layer.out_channels, layer.groups)
        case nn.Linear():
            return Widths(layer.in_features, layer.out_features)
        case nn.BatchNorm2d():
            return Widths(layer.num_features, layer.num_features)


def parameters(layer: Weighted, widths: Widths) -> int:
    """Return the number of trained parameters of a layer at given widths."""
    biases = 0 if layer.bias is None else widths.outputs
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * biases
    kernel = math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1
    return widths.inputs // widths.groups * widths.outputs * kernel + biases


def cost_of_layers(network: nn.Module, size: int, of_layer: Callable[[Layer], float]) -> Cost:
    """Return a cost that sums over the calls of a layer; BatchNorm, which is folded into convolutions, costs nothing.

    Args:
        network: network; it is run once to measure the size of each layer's features.
        size: side of the square photo in pixels; a multiple of 32.
        of_layer: cost of one call.
    """
    calls = _output_sizes(network, size)

    def cost(layer: Weighted, widths: Widths) -> float:
        kernel, stride = (1, 1), 1
        if isinstance(layer, nn.Conv2d):
            kernel, stride = (layer.kernel_size[0], layer.kernel_size[1]), layer.stride[0]
        return sum(of_layer(Layer(*widths, kernel, stride, place)) for place in calls.get(layer, ()))

    return cost


def total(network: nn.Module, cost: Cost) -> float:
    """Sum a cost over a network's layers at their present widths."""
    return sum(cost(layer, widths_of(layer)) for layer in network.modules() if isinstance(layer, Weighted))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode; restore the mode of every module afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _output_sizes(network: nn.Module, size: int) -> dict[nn.Module, list[tuple[int, int]]]:
    """Return height and width of the outputs of convolutions, or (tokens, 1) of linear layers, call by call."""
    sizes: dict[nn.Module, list[tuple[int, int]]] = defaultdict(list)

    def record(module: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            sizes[module].append((output.shape[2], output.shape[3]))
        else:
            sizes[module].append((output[..., 0].numel(), 1))

    hooks = [
        module.register_forward_hook(record)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.zeros(1, 3, size, size, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return sizes
