"""Save a pretrained backbone as one safetensors file, with its card in the file's metadata."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from m2fp_kd.models.backbone_weights import FORMAT, saved_tensors
from m2fp_kd.runtime.files import atomic_path


def save_backbone(path: str | Path, backbone: nn.Module, card: Mapping[str, str]) -> Path:
    """Write a backbone's weights in float16 for `backbone.weights=`; return the path.

    `m2fp_kd.models.backbone_weights.load_backbone` reads the file.

    Args:
        path: file to write, `.safetensors`.
        backbone: the backbone.
        card: facts about it, such as its name as `backbone`, its teacher, data and licence.
    """
    with atomic_path(path) as temporary:
        state = {name: _half(tensor) for name, tensor in saved_tensors(backbone).items()}
        save_file(state, temporary, {"format": FORMAT, **card})
    return Path(path)


def _half(tensor: Tensor) -> Tensor:
    """Return a tensor in float16, unless a value is too large for it."""
    tensor = tensor.detach().cpu().contiguous()
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor
