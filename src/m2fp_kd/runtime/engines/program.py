"""PyTorch runs exported programs (`.pt2`), always in f32; INT8 ones are compiled when they are loaded."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from m2fp_kd.runtime.engines.archive import is_quantised, output_names, refuse_pickle
from m2fp_kd.runtime.engines.engine import Engine, EngineError
from m2fp_kd.runtime.engines.pytorch import torch_engine


def load(path: Path, threads: int | None, arithmetic: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`.

    An INT8 program quantises and dequantises around float operations, which is slower than fp32. Inductor makes INT8
    kernels of them, for which it needs a C++ compiler and about a minute: here for one photo, at the first call for
    every other batch size.
    """
    names = output_names(path)
    refuse_pickle(path)
    quantised = is_quantised(path)
    if quantised:
        _register_int8()
    program = torch.export.load(path)
    module: Callable[[Tensor], Sequence[Tensor]] = program.module()
    if quantised:
        module = torch.compile(module, dynamic=False, options={"freezing": True})
    engine = torch_engine("program", module, path, names, threads, outputs)
    if quantised:
        engine(np.zeros((1, *_canvas_shape(program)), np.uint8))
    return engine


def _register_int8() -> None:
    """Make the operations known that an INT8 program holds.

    Raises:
        EngineError: they, or what compiles them, are not installed.
    """
    try:
        import torchao.quantization.pt2e  # noqa: F401
    except ImportError as error:
        raise EngineError("an INT8 program needs torchao: pip install 'm2fp-kd[compress]'") from error
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        raise EngineError("an INT8 program is compiled when it is loaded: install g++, or use INT8 ONNX or OpenVINO")


def _canvas_shape(program: ExportedProgram) -> list[int]:
    """(h, w, 3) of the fixed canvas that a program takes."""
    (name,) = program.graph_signature.user_inputs
    (shape,) = (node.meta["val"].shape for node in program.graph.nodes if node.name == name)
    return [int(side) for side in shape[1:]]
