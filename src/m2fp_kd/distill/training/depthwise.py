"""Depthwise convolutions in float32 while a CPU trains in bfloat16."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class DepthwiseInFloat32(TorchFunctionMode):
    """Inside this context autocast on the CPU leaves grouped convolutions in float32.

    Of depthwise convolutions in bfloat16, PyTorch's gradient falls back to reference kernels: four times as slow for
    the weights of 5x5 ones, fifteen times for the input of those with stride 2. Everything else gains by bfloat16.
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
