"""PyTorch's TorchScript interpreter runs `.pt` files, always in f32."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from m2fp_kd.runtime.engines.archive import output_names
from m2fp_kd.runtime.engines.engine import Engine
from m2fp_kd.runtime.engines.pytorch import torch_engine


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`."""
    names = output_names(path)
    with warnings.catch_warnings():
        # TorchScript is deprecated in favour of the `torch_export` engine; users still ask for these files.
        warnings.filterwarnings("ignore", r"`torch\.jit\.", FutureWarning)
        module = torch.jit.load(path, map_location="cpu")
    return torch_engine("torchscript", module, path, names, threads, outputs)
