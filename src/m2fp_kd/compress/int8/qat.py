"""Quantisation-aware training: train a student with the rounding of its static INT8 file.

After Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference":
the forward pass rounds, the gradient passes straight through. `finish` returns a plain float network, from which
`quantise_static` makes the int8 weights that training rounded to.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn
from torch.func import functional_call

from m2fp_kd.compress.options import STRICT, Count, Factor, Name
from m2fp_kd.compress.steps import FineTuning
from m2fp_kd.models.fold import build_folded

log = logging.getLogger(__name__)

HALF_RANGE, FULL_RANGE = 63.5, 127.0
"""Steps from 0 to a channel's largest weight, see `quantise_static`."""

MOMENTUM = 0.01
"""Weight of a training step's range in the running mean."""


class RoundedWeight(nn.Module):
    """Round weights to int8 steps, symmetric, with one scale per output channel.

    The scale follows the channel's largest weight, so nothing is clipped. As in NNCF, the range of a channel is at
    least a hundredth of the tensor's largest weight.

    Args:
        steps: number of steps from 0 to a channel's largest weight.
    """

    def __init__(self, steps: float) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, weight: Tensor) -> Tensor:
        """Round a weight (out, ...) of any shape; the gradient is that of the identity."""
        with torch.no_grad():
            largest = weight.abs().flatten(1).amax(dim=1)
            scale = largest.maximum((0.01 * largest.max()).clamp_min(8e-5)) / self.steps
            scale = scale.view(-1, *[1] * (weight.ndim - 1))
            error = torch.round(weight / scale) * scale - weight
        return weight + error


class RoundedInput(nn.Module):
    """Round activations to uint8 steps, asymmetric, with one scale per tensor.

    The range is the mean over photos of each photo's smallest and largest value, zero included, and in training it
    follows the network slowly. It is narrower than the range in the file, which is calibrated again and clips less:
    trained with it, MobileNetV3s ended 0.4 points of mIoU higher than with the extremes of whole batches (in each of
    three seeds, PASCAL-Person-Part at 160 pixels).

    Args:
        low: mean over photos of the smallest value.
        high: mean over photos of the largest value.
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.register_buffer("low", low.clone())
        self.register_buffer("high", high.clone())

    def forward(self, values: Tensor) -> Tensor:
        """Round values (B, ...); the gradient is that of the identity inside the range and 0 outside."""
        values = values.float()
        if self.training:
            low, high = _extent(values).mean(dim=0)
            self.low.lerp_(low, MOMENTUM)
            self.high.lerp_(high, MOMENTUM)
        low, high = self.low.clamp(max=0), self.high.clamp(min=0)
        scale = ((high - low) / 255).clamp_min(torch.finfo(torch.float32).eps)
        return torch.fake_quantize_per_tensor_affine(values, scale, torch.round(-low / scale).int(), 0, 255)


class Rounded(nn.Module):
    """A layer with rounded weights and, unless its arithmetic stays float in the file, a rounded input.

    It wraps the layer without changing it: `torch.nn.utils.parametrize` gives all copies of a module one class, and
    removing it from one copy breaks the others.

    Args:
        layer: convolution or linear layer.
        rounded_weight: module that rounds its weight.
        rounded_input: module that rounds its input; None leaves the input float.
    """

    def __init__(self, layer: nn.Module, rounded_weight: RoundedWeight, rounded_input: RoundedInput | None) -> None:
        super().__init__()
        self.layer = layer
        self.rounded_weight = rounded_weight
        self.rounded_input = rounded_input

    @property
    def weight(self) -> Tensor:
        """Rounded weight of the layer."""
        return self.rounded_weight(self.layer.weight)

    def forward(self, values: Tensor) -> Tensor:
        """Compute the layer with rounding."""
        if self.rounded_input is not None:
            values = self.rounded_input(values)
        return functional_call(self.layer, {"weight": self.weight}, (values,))


def folded(student: nn.Module) -> nn.Module:
    """Return a trainable copy of a student in eval mode with its BatchNorms folded into the convolutions."""
    return build_folded(copy.deepcopy(student)).requires_grad_()


def prepare(student: nn.Module, canvases: Iterable[NDArray[np.uint8]]) -> nn.Module:
    """Return a trainable copy of a student that computes like its static INT8 file.

    Convolutions and linear layers round their weights and inputs; layers of squeeze-excite blocks, which compute in
    float in the file, round only their weights. The file also quantises the inputs of additions and of the products
    inside attention, which stay float here.

    Args:
        student: float network on the CPU, images (B, 3, H, W) -> `StudentOutput`; it is not changed.
        canvases: uint8 (N, h, w, 3) batches of placed training photos to observe input ranges on.

    Raises:
        ValueError: there are no canvases.
    """
    student = folded(student)
    blocks = [module for module in student.modules() if isinstance(module, SqueezeExcite)]
    in_float = {layer for block in blocks for layer in block.modules()}
    rounded: dict[nn.Module, nn.Module] = {}
    for layer, (low, high) in _observed_ranges(student, canvases).items():
        depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
        steps = FULL_RANGE if depthwise or layer in in_float else HALF_RANGE
        rounded_input = None if layer in in_float else RoundedInput(low, high)
        rounded[layer] = Rounded(layer, RoundedWeight(steps), rounded_input)
    _replace(student, rounded)
    return student


def finish(student: nn.Module) -> nn.Module:
    """Return a plain float copy, in eval mode on the CPU, of a student from `prepare`: folded, without rounding."""
    student = copy.deepcopy(student).cpu().eval()
    _replace(student, {module: module.layer for module in student.modules() if isinstance(module, Rounded)})
    return student


def _replace(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> None:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if child in replacements:
                setattr(parent, name, replacements[child])


@torch.no_grad()
def _observed_ranges(
    student: nn.Module, canvases: Iterable[NDArray[np.uint8]]
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Return layer -> means over photos of the smallest and of the largest value of its input."""
    seen: dict[nn.Module, list[Tensor]] = defaultdict(list)

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[layer].append(_extent(inputs[0]))

    layers = [layer for layer in student.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_pre_hook(observe) for layer in layers]
    for canvas in canvases:
        student(torch.from_numpy(canvas).permute(0, 3, 1, 2))
    for handle in handles:
        handle.remove()
    if not seen:
        raise ValueError(
            "quantisation-aware training observes ranges on training photos, but there are none; check the data"
        )
    means = {layer: torch.cat(extents).mean(dim=0) for layer, extents in seen.items()}
    return {layer: (mean[0], mean[1]) for layer, mean in means.items()}


def _extent(values: Tensor) -> Tensor:
    """Return the smallest and the largest value of every photo, (B, 2)."""
    flat = values.detach().flatten(1)
    return torch.stack([flat.amin(dim=1), flat.amax(dim=1)], dim=1)


@dataclass(frozen=True, config=STRICT)
class QuantisationAware:
    """Train with the rounding of static INT8; the INT8 file is made afterwards, with its own calibration.

    Attributes:
        calibration_photos: number of training photos to observe activations on.
        epochs: epochs of training.
        lr_scale: factor on the run's learning rate.
        name: name of the trained network's file.
    """

    kind: ClassVar[str] = "qat"
    calibration_photos: Count = 300
    epochs: Count = 4
    lr_scale: Factor = 0.1
    name: Name = "qat"

    def __call__(
        self, student: nn.Module, architecture: dict[str, Any], tuner: FineTuning
    ) -> tuple[nn.Module, dict[str, Any], float]:
        """Train a copy of ``student``; return it in plain float with folded BatchNorms, and its mIoU with rounding."""
        rounded = prepare(student, tuner.canvases(self.calibration_photos))
        score = tuner(rounded, self.name, self.epochs, self.lr_scale)
        log.info("quantisation-aware training: val/mIoU %.4f with the rounding of INT8", score)
        return finish(rounded), {"_target_": "m2fp_kd.models.fold.build_folded", "network": architecture}, score
