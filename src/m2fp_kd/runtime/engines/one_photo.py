"""Code shared by the engines of phones and boards, which run one photo at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from m2fp_kd.runtime.engines.engine import Engine, EngineError, wanted_outputs

OUTPUTS = ("part_logits", "class_logits", "mask_logits")
"""Outputs in the order in which these files have them; a per-pixel student has the first one only."""


def one_photo_engine(
    name: str,
    path: Path,
    outputs: Sequence[str] | None,
    number: int,
    infer: Callable[[np.ndarray], Sequence[np.ndarray]],
    shape: Sequence[int] | None = None,
) -> Engine:
    """Return an engine that runs one photo after the other, from whatever thread it is called.

    Args:
        name: name of the engine.
        path: the file, for messages.
        outputs: names of the outputs to return; None for all.
        number: number of the file's outputs.
        infer: maps a canvas, uint8 (1, H, W, 3), to all outputs, each of a batch of one.
        shape: shape of the only canvas that the file runs, (1, S, S, 3); None for any.
    """
    available = OUTPUTS[:number]
    names, lock = wanted_outputs(path, outputs, available), Lock()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        if shape is not None and images.shape[1:] != tuple(shape[1:]):
            raise EngineError(f"{path}: runs canvases of {tuple(shape)} only, not of {tuple(images.shape)}")
        with lock:
            results = [infer(images[index : index + 1]) for index in range(len(images))]
        stacked = (np.concatenate(values) for values in zip(*results, strict=True))
        return {output: values for output, values in zip(available, stacked, strict=True) if output in names}

    return Engine(name, "f32", names, run, max_batch=1)
