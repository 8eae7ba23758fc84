"""Float32 depthwise convolutions for training in bfloat16 on CPUs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class DepthwiseInFloat32(TorchFunctionMode):
    """Context in which autocast on the CPU keeps grouped convolutions in float32.

    The gradients of depthwise convolutions in bfloat16 fall back to PyTorch's reference kernels: four times slower for
    the weights of 5x5 convolutions, fifteen times for the input of those with stride 2. Everything else is faster in
    bfloat16.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d and torch.is_autocast_enabled("cpu"):
            groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
            if groups > 1:
                with torch.autocast("cpu", enabled=False):
                    return func(*map(_float32, args), **{name: _float32(value) for name, value in kwargs.items()})
        return func(*args, **kwargs)


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
