"""Fold BatchNorm into the preceding convolution, so that a frozen network needs fewer passes over memory."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> None:
    """Fold every BatchNorm that follows a convolution, or a `Sequential` ending in one, in the same module.

    Works in place. Afterwards the state dict no longer fits checkpoints, and the network is for inference only.

    Args:
        network: network in evaluation mode whose modules list convolution and BatchNorm in the order of execution.
    """
    for (name, before), (following, norm) in pairwise(list(network.named_children())):
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        if isinstance(before, nn.Conv2d):
            setattr(network, name, fuse_conv_bn_eval(before, norm))
        elif isinstance(before, nn.Sequential) and isinstance(before[-1], nn.Conv2d):  # the deeplab stem
            before[-1] = fuse_conv_bn_eval(before[-1], norm)
        else:
            continue
        # timm's BatchNormAct2d includes an activation.
        setattr(network, following, getattr(norm, "act", nn.Identity()))
    for child in network.children():
        fold_batch_norm(child)


def build_folded(network: nn.Module) -> nn.Module:
    """Fold a network's BatchNorms and return it in evaluation mode, as quantisation-aware training leaves it."""
    fold_batch_norm(network.eval())
    return network
