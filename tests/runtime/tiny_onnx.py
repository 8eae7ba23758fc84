"""Canvases and small ONNX graphs for the tests of engines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)


def write_onnx(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[int | str],
    constants: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a graph from uint8 `images` to float `part_logits`, both of this shape."""
    import onnx

    ends = [
        [onnx.helper.make_tensor_value_info(name, kind, shape)]
        for name, kind in (("images", onnx.TensorProto.UINT8), ("part_logits", onnx.TensorProto.FLOAT))
    ]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in (constants or {}).items()]
    graph = onnx.helper.make_graph(nodes, "made for a test", *ends, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
