"""Prepare a network for the formats of phones and boards, which have one input size and run one photo at a time."""

from typing import cast

import torch
from torch import Tensor, nn

from m2fp_kd.compress.export.deployable import Deployable, deployable
from m2fp_kd.models.fold import fold_batch_norm
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry


class WithoutMap(nn.Module):
    """A deployable network that leaves the part map to the caller: upsampling and argmax are slow in these engines."""

    def __init__(self, network: Deployable) -> None:
        super().__init__()
        self.network = network
        self.outputs = network.outputs[1:]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map a canvas, uint8 (1, H, W, 3), to the tensors that `outputs` names; see `Deployable.logits`."""
        return self.network.logits(images)


class Core(nn.Module):
    """The part of a per-pixel student that takes planes of colours, as ncnn's `Mat::from_pixels` and Core ML make them.

    Args:
        normalise: a `NormaliseCanvases`.
        student: per-pixel student that takes normalised images.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalise: nn.Module, student: nn.Module) -> None:
        super().__init__()
        for name in ("mean", "std"):
            self.register_buffer(name, normalise.get_buffer(name).view(1, -1, 1, 1))
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        """Map images, float32 (1, 3, H, W) RGB 0..255, to part logits (1, P, H/4, W/4)."""
        return self.student((images - self.mean) / self.std).part_logits


def for_device(network: nn.Module, card: Card) -> WithoutMap:
    """Return a copy of a network without BatchNorm, with operations that change no tensor in place.

    Weights stay in PyTorch's usual order: ExecuTorch's XNNPACK refuses channels-last ones.
    """
    copied = deployable(network, card)
    fold_batch_norm(copied)
    for module in copied.modules():
        if hasattr(module, "inplace"):
            cast(nn.ReLU, module).inplace = False
    return WithoutMap(copied).eval()


def traced_core(network: nn.Module, card: Card) -> tuple[torch.jit.ScriptModule, torch.Size]:
    """Return the traced `Core` of a per-pixel student, and the shape of its images."""
    deployed = for_device(network, card).network
    example = example_canvas(card).float().permute(0, 3, 1, 2)
    core = Core(deployed.normalise, deployed.student).eval()
    return torch.jit.trace(core, (example,), check_trace=False), example.shape


def example_canvas(card: Card) -> Tensor:
    """Return a canvas of the card's fixed size, uint8 (1, S, S, 3)."""
    side = Geometry(**card.geometry).size
    return torch.zeros(1, side, side, 3, dtype=torch.uint8)
