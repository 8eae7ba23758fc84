"""A network made ready for PyTorch's own artefacts: BatchNorm folded into convolutions, memory channels last."""

from typing import TypeVar

import torch
from torch import nn

from m2fp_kd.models.fold import fold_batch_norm

Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """Fold every BatchNorm into the convolution before it and lay weights out channels last, in place.

    The results are the same to 1e-5 of the largest one. An activation after the BatchNorm stays an operation of its
    own: in f32, `torch.jit.optimize_for_inference`, which would fuse it, gained nothing once memory is channels last,
    and what it makes cannot be saved. (ONNX and OpenVINO engines fuse for themselves; INT8 fuses ReLU, see `fx`.)

    Args:
        network: in eval mode.

    Raises:
        ValueError: the network is in training mode, where BatchNorm depends on the batch.
    """
    if network.training:
        raise ValueError("only a network in eval mode can be fused: in training BatchNorm depends on the batch")
    fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last)
