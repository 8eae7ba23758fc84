"""Prepare a network for PyTorch's own formats: fold BatchNorm into convolutions, use channels-last memory."""

from typing import TypeVar

import torch
from torch import nn

from m2fp_kd.models.fold import fold_batch_norm

Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """Fold every BatchNorm into the convolution before it and store weights channels-last, in place.

    The results are the same to 1e-5 of the largest one. An activation after the BatchNorm stays an operation of its
    own: in f32, `torch.jit.optimize_for_inference`, which fuses it, gained nothing with channels-last memory, and its
    result cannot be saved. (ONNX and OpenVINO engines fuse by themselves; INT8 fuses ReLU, see `fx`.)

    Args:
        network: network in eval mode.

    Raises:
        ValueError: the network is in training mode, where BatchNorm depends on the batch.
    """
    if network.training:
        raise ValueError(
            "cannot fuse a network in training mode, where BatchNorm depends on the batch; call eval() first"
        )
    fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last)
