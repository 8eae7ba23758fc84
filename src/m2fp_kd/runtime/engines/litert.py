"""LiteRT runs `.tflite` files; they compute in f32 or INT8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from m2fp_kd.runtime.engines.engine import Engine
from m2fp_kd.runtime.engines.one_photo import one_photo_engine


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`."""
    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (images,), found = interpreter.get_input_details(), interpreter.get_output_details()

    def infer(canvas: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(images["index"], canvas)
        interpreter.invoke()
        part_logits, *queries = (interpreter.get_tensor(output["index"]) for output in found)
        return [np.ascontiguousarray(part_logits.transpose(0, 3, 1, 2)), *queries]

    return one_photo_engine("litert", path, outputs, len(found), infer, images["shape"].tolist())
