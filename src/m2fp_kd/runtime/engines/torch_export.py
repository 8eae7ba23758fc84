"""PyTorch runs exported programs (`.pt2`), always in f32; INT8 ones are compiled when they are loaded."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config
from torch import Tensor
from torch.export import ExportedProgram

from m2fp_kd.runtime.engines.archive import is_quantised, output_names, refuse_pickle
from m2fp_kd.runtime.engines.engine import Engine, EngineError
from m2fp_kd.runtime.engines.pytorch import torch_engine
from m2fp_kd.versions import install_hint

EXAMPLE_SIDES = (256, 288)
"""Sides of the example canvas of a program of dynamic size; equal ones would compile it for square canvases only."""


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`.

    An INT8 program quantises and dequantises around float operations, which is slower than fp32. Inductor compiles them
    to INT8 kernels, which needs a C++ compiler and tens of seconds: on loading, for one photo, and again at the first
    call with several photos or with a much smaller canvas.
    """
    names = output_names(path)
    refuse_pickle(path)
    quantised = is_quantised(path)
    if quantised:
        _register_int8()
    program = torch.export.load(path)
    if not quantised:
        return torch_engine("torch_export", program.module(), path, names, threads, outputs)
    engine = torch_engine("torch_export", _compiled(program), path, names, threads, outputs)
    engine(np.zeros(_example_shape(program), np.uint8))
    return engine


def _register_int8() -> None:
    """Register INT8 programs' operations with PyTorch, and the kernels for them with Inductor.

    Raises:
        EngineError: torchao or a C++ compiler is not installed.
    """
    try:
        import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer  # noqa: F401
    except ImportError as error:
        raise EngineError(f"an INT8 program needs torchao: {install_hint('compress')}") from error
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        raise EngineError("an INT8 program is compiled when it is loaded: install g++, or use INT8 ONNX or OpenVINO")


def _compiled(program: ExportedProgram) -> Callable[[Tensor], Sequence[Tensor]]:
    compiled = torch.compile(program.module(), dynamic=True)

    def run(canvases: Tensor) -> Sequence[Tensor]:
        # Inductor reads this when it compiles, in a call. As an option of torch.compile it breaks torchao's INT8
        # kernels.
        with torch._inductor.config.patch(freezing=True):
            return compiled(canvases)

    return run


def _example_shape(program: ExportedProgram) -> tuple[int, int, int, int]:
    """Return the shape of one canvas that the program accepts, (1, h, w, 3)."""
    (name,) = program.graph_signature.user_inputs
    (shape,) = (node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    rows, columns = (
        side if isinstance(side, int) else example for side, example in zip(shape[1:3], EXAMPLE_SIDES, strict=True)
    )
    return 1, rows, columns, 3
