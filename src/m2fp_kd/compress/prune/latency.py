"""Latency of a network's convolutions in an engine: a table from channels to milliseconds, measured on demand."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from m2fp_kd.compress.export.onnx import OPSET
from m2fp_kd.compress.prune.cost import Layer
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.runtime.engines import INPUT, Engine, open_engine
from m2fp_kd.runtime.files import atomic_path

FORMAT = "m2fp-kd latency table, version 1"

NODES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Numbers of channels to measure; milliseconds in between are interpolated."""

WARM_UP = 3
RUNS = 10
SECONDS = 0.05
"""Shortest time to measure a layer for; it is timed at least `RUNS` times."""

Measure = Callable[[Layer], float]
"""Function that times one convolution, in milliseconds."""


class LatencyTable:
    """Milliseconds of single convolutions, measured on first use and kept in a JSON file.

    Their sum over a network leaves out activations (engines fuse most of them), resizing, attention's products and
    argmax, and the interaction of consecutive layers. Use it to compare widths of the same network; only a measurement
    of the exported network gives its latency.

    Args:
        path: JSON file; it need not exist.
        setting: description of the machine and engine. A table of another setting is refused.
        measure: function that times a convolution.

    Raises:
        ValueError: the file is not a latency table, or belongs to another setting.
    """

    def __init__(self, path: str | Path, setting: str, measure: Measure) -> None:
        self.path, self.setting, self._measure = Path(path), setting, measure
        self._entries: dict[str, float] = _read(self.path, setting) if self.path.exists() else {}

    def milliseconds(self, layer: Layer) -> float:
        """Return the time of a layer, interpolated bilinearly between the nearest `NODES` of its channels.

        A depthwise convolution has one axis only. Fewer channels than the first node (a photo's three) or more than the
        last are measured directly, and so are other grouped convolutions.
        """
        if layer.groups == 1:
            return sum(
                share * other * self._at(replace(layer, inputs=inputs, outputs=outputs))
                for inputs, share in _between(layer.inputs)
                for outputs, other in _between(layer.outputs)
            )
        if layer.groups == layer.inputs == layer.outputs:
            return sum(
                share * self._at(replace(layer, inputs=channels, outputs=channels, groups=channels))
                for channels, share in _between(layer.inputs)
            )
        return self._at(layer)

    def _at(self, layer: Layer) -> float:
        key = _key(layer)
        if key not in self._entries:
            self._entries[key] = self._measure(layer)
            content = {"format": FORMAT, "setting": self.setting, "milliseconds": self._entries}
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(content, indent=1))
        return self._entries[key]


def open_table(path: str | Path, engine: str = "openvino", threads: int | None = None) -> LatencyTable:
    """Open the table of an engine on this CPU, in f32.

    Args:
        path: JSON file of the table.
        engine: one of `runtime.engines.ENGINES`.
        threads: CPU threads; None leaves it to the engine.

    Raises:
        ModuleNotFoundError: the engine is not installed.
        ValueError: the file is not a latency table, or was measured on another CPU, engine or number of threads.
    """
    measure = convolution_timer(engine, threads)
    used = f"{threads} threads" if threads else "the engine's own choice of threads"
    cpu = describe_cpu()
    setting = f"{engine} {version(engine)}, f32, {used}, {cpu.model} with {cpu.cores} cores"
    return LatencyTable(path, setting, measure)


def convolution_timer(engine: str, threads: int | None) -> Measure:
    """Return a timer of convolutions: the fastest call of a small network with the layer, minus the one without it.

    Other layers surround the timed one, so that it reads and writes the engine's own memory layout, as inside a
    network; converting to that layout and back can cost more than the layer.
    """

    def milliseconds(model: ModelProto) -> float:
        shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "layer.onnx"
            onnx.save(model, path)
            return _fastest_ms(open_engine(path, engine, threads), np.ones(shape, np.float32))

    @cache
    def without(inputs: int, size: tuple[int, int]) -> float:
        return milliseconds(timed_network(inputs, size, None))

    def difference(layer: Layer) -> float:
        height, width = (layer.stride * side for side in layer.size)
        network = timed_network(layer.inputs, (height, width), layer)
        return max(milliseconds(network) - without(layer.inputs, (height, width)), 0.0)

    return difference


def timed_network(inputs: int, size: tuple[int, int], layer: Layer | None) -> ModelProto:
    """Build an ONNX network: a scaling of every channel, the convolution to time, and the average over all pixels.

    Args:
        inputs: channels of its input, float (1, inputs, height, width).
        size: height and width of its input.
        layer: convolution, padded to `layer.size`; None leaves it out.
    """
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Conv", [INPUT, "scale"], ["scaled"], group=inputs)]
    weights = [numpy_helper.from_array(np.full((inputs, 1, 1, 1), 0.5, np.float32), "scale")]
    features, outputs = "scaled", inputs
    if layer is not None:
        attributes: dict[str, Any] = {"strides": [layer.stride] * 2, "group": layer.groups, "auto_pad": "SAME_UPPER"}
        nodes.append(helper.make_node("Conv", [features, "weight"], ["features"], **attributes))
        shape = layer.outputs, layer.inputs // layer.groups, *layer.kernel
        weights.append(numpy_helper.from_array(random.standard_normal(shape, np.float32), "weight"))
        features, outputs = "features", layer.outputs
    nodes.append(helper.make_node("GlobalAveragePool", [features], ["average"]))
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, inputs, *size])],
        [helper.make_tensor_value_info("average", TensorProto.FLOAT, [1, outputs, 1, 1])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _fastest_ms(engine: Engine, features: np.ndarray) -> float:
    for _ in range(WARM_UP):
        engine(features)
    times: list[float] = []
    while len(times) < RUNS or sum(times) < SECONDS:
        start = time.perf_counter()
        engine(features)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def _between(channels: int) -> list[tuple[int, float]]:
    """Return the nodes around a number of channels, with their shares."""
    for lower, upper in pairwise(NODES):
        if lower <= channels <= upper:
            share = (channels - lower) / (upper - lower)
            return [(node, part) for node, part in ((lower, 1 - share), (upper, share)) if part]
    return [(channels, 1.0)]


def _key(layer: Layer) -> str:
    (rows, columns), (height, width) = layer.kernel, layer.size
    return (
        f"{rows}x{columns} stride {layer.stride} groups {layer.groups}: "
        f"{layer.inputs} -> {layer.outputs} at {height}x{width}"
    )


def _read(path: Path, setting: str) -> dict[str, float]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it to measure the table again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not a latency table; name another file")
    if (found := content.get("setting")) != setting:
        raise ValueError(f"{path} was measured with {found}, not {setting}; name another file, or delete this one")
    entries = content.get("milliseconds")
    if not isinstance(entries, dict) or not all(isinstance(time, int | float) for time in entries.values()):
        raise ValueError(f"{path} has no times in milliseconds; delete it to measure the table again")
    return entries
