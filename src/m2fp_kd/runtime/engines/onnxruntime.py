"""ONNX Runtime runs `.onnx` files, always in f32."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from m2fp_kd.runtime.engines.engine import INPUT, Engine, wanted_outputs


def load(path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None) -> Engine:
    """Load a model; see `open_engine`."""
    session = _session(path, threads)
    names = wanted_outputs(path, outputs, [output.name for output in session.get_outputs()])

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {INPUT: images}), strict=True))

    batch = session.get_inputs()[0].shape[0]
    return Engine("onnxruntime", "f32", names, run, batch if isinstance(batch, int) else None)


def metadata(path: Path, key: str) -> str | None:
    """Return the text under `key` in an ONNX file's metadata; None if there is none."""
    return _session(path, None).get_modelmeta().custom_metadata_map.get(key)


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Products whose weights alone are INT8 become MatMulNBits. By default that rounds the other factor to INT8 on x86
    # and on Arm with dot products, but not on ARMv8.0: masks of an m2fp differ by 1 %. Level 1 computes all in f32.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
