"""Save a pretrained backbone as one safetensors file, with its card in the file's metadata."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from m2fp_kd.models.backbone_file import FORMAT, saved_tensors
from m2fp_kd.runtime.files import atomic_path

_SMALL = {"running_mean": (torch.float8_e4m3fn,), "running_var": (torch.float8_e5m2,)}
"""8-bit formats of BatchNorm's statistics: steps of 12 % for means up to 448, of 25 % for variances up to 57344."""


def save_backbone(path: str | Path, backbone: nn.Module, card: Mapping[str, str]) -> Path:
    """Write a backbone's weights for `backbone.weights=`; return the path.

    Weights are stored in float16, BatchNorm's running statistics in 8 bits, since they only start an average that
    training replaces. `m2fp_kd.models.backbone_file.load_backbone` reads the file.

    Args:
        path: file to write, `.safetensors`.
        backbone: the backbone.
        card: facts about it, such as its name as `backbone`, its teacher, data and licence.
    """
    with atomic_path(path) as temporary:
        state = {name: _compact(name, tensor) for name, tensor in saved_tensors(backbone).items()}
        temporary.write_bytes(save(state, {"format": FORMAT, **card}))  # `save_file` makes files for their owner only
    return Path(path)


def _compact(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor in the smallest of its formats whose range contains all values."""
    tensor = tensor.detach().cpu().contiguous()
    for dtype in (*_SMALL.get(name.rpartition(".")[2], ()), torch.float16):
        compact = tensor.to(dtype)
        if torch.allclose(compact.float(), tensor, rtol=0.13, atol=1e-3):  # else a value is cut off, or infinite
            return compact
    return tensor
