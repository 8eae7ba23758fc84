"""ncnn runs `.param` files with their `.bin`, in f32 and with fp32 or fp16 weights."""

from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np

from m2fp_kd.runtime.engines.engine import Engine, EngineError
from m2fp_kd.runtime.engines.one_photo import one_photo_engine


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`.

    Raises:
        EngineError: the weights are missing, or a file is broken.
    """
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise EngineError(f"{weights}: missing; a network of ncnn is two files")
    network = ncnn.Net()
    network.opt.num_threads = threads or ncnn.get_physical_big_cpu_count()
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    if network.load_param(str(path)) or network.load_model(str(weights)):
        raise EngineError(f"{path}: is broken, or another version of ncnn wrote it; export it again")

    def infer(canvas: np.ndarray) -> list[np.ndarray]:
        planes = np.ascontiguousarray(canvas[0].transpose(2, 0, 1), np.float32)
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(planes))
        failed, logits = extractor.extract("out0")
        if failed:
            raise EngineError(f"{path}: cannot run a canvas of {tuple(canvas.shape)}; is the card that of this file?")
        return [np.array(logits)[None]]

    return one_photo_engine("ncnn", path, outputs, 1, infer)
