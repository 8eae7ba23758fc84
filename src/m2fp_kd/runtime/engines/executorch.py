"""ExecuTorch runs `.pte` files; its package needs PyTorch in Python, but not on a phone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime

from m2fp_kd.runtime.engines.engine import Engine, EngineError
from m2fp_kd.runtime.engines.one_photo import one_photo_engine

FORMAT = b"ET12"
"""Identifier in bytes 4 to 7 of the files that this version of ExecuTorch reads."""


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`. The number of threads is the process's.

    Raises:
        EngineError: another version of ExecuTorch wrote the file.
    """
    content = path.read_bytes()
    if content[4:6] == FORMAT[:2] and content[4:8] != FORMAT:
        written = content[4:8].decode("ascii", "replace")
        raise EngineError(
            f"{path}: another version of ExecuTorch wrote it (format {written}, but the installed one reads "
            f"{FORMAT.decode()}); export it again with the installed version"
        )
    if threads is not None:
        portable_lib._unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(content)
    about, method = program.metadata("forward"), program.load_method("forward")

    def infer(canvas: np.ndarray) -> list[np.ndarray]:
        assert program  # the method does not keep it alive
        results = method.execute([torch.from_numpy(np.require(canvas, requirements="W"))])
        return [result.numpy() for result in results]

    shape = about.input_tensor_meta(0).sizes()
    return one_photo_engine("executorch", path, outputs, about.num_outputs(), infer, shape)
