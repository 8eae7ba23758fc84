"""Code shared by the two engines that use PyTorch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from m2fp_kd.runtime.engines.engine import Engine, EngineError, wanted_outputs


def torch_engine(
    name: str,
    module: Callable[[Tensor], Sequence[Tensor]],
    path: Path,
    available: Sequence[str],
    threads: int | None,
    outputs: Sequence[str] | None,
) -> Engine:
    """Return an engine for a PyTorch module that returns all outputs; it drops those that were not requested."""
    names, lock = wanted_outputs(path, outputs, available), Lock()
    kept = [(output, available.index(output)) for output in names]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        canvases = torch.from_numpy(np.require(images, requirements="W"))
        with lock, torch_threads(threads), torch.inference_mode():
            try:
                results = module(canvases)
            except (RuntimeError, AssertionError) as error:  # raised for sizes that it was not exported for
                raise EngineError(f"{path}: cannot run canvases of {tuple(images.shape)} ({error})") from error
        return {output: results[index].numpy() for output, index in kept}

    return Engine(name, "f32", names, run)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Let PyTorch use `threads` threads in the context; the number is the process's, which may be training."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
