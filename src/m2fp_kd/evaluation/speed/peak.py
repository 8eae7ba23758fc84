"""Measure the peak speed of an engine on this CPU: ``python -m m2fp_kd.evaluation.speed.peak --threads 2``.

Engines are fastest on a chain of large convolutions. It runs in floating point and in INT8 as artefacts use it (uint8
activations, int8 weights, quantised and dequantised in the graph).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from m2fp_kd.evaluation.speed.macs import Peak
from m2fp_kd.runtime.engines import INPUT, Engine, open_engine

CHANNELS, SIDE, KERNEL, LAYERS = 256, 32, 3, 4
MACS = LAYERS * CHANNELS**2 * KERNEL**2 * SIDE**2
"""MACs of one run of the chain: 2.4e9, about 50 ms on two cores with AVX2."""


def measure_peak(engine: str | None = None, threads: int | None = None, precision: str = "f32", runs: int = 5) -> Peak:
    """Return MACs per second of the fastest run, in floating point (in the engine's own precision) and in INT8."""
    with tempfile.TemporaryDirectory() as folder:
        speeds = []
        for int8 in (False, True):
            path = Path(folder) / f"{'int8' if int8 else 'floating'}.onnx"
            onnx.save(convolutions(int8), path)
            chain = open_engine(path, engine, threads, precision)
            images = np.random.default_rng(0).random((1, CHANNELS, SIDE, SIDE), np.float32)
            chain(images)
            speeds.append(MACS / min(_seconds(chain, images) for _ in range(runs)))
    return Peak(*speeds)


def convolutions(int8: bool) -> onnx.ModelProto:
    """Return the chain of convolutions: float32 (1, channels, side, side) in, channel means out."""
    constants: list[TensorProto] = []
    nodes = []

    def constant(name: str, values: np.ndarray | np.generic) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    activation = [constant("scale", np.float32(0.02)), constant("zero", np.uint8(0))]
    weight = [constant("weight scale", np.float32(0.001)), constant("weight zero", np.int8(0))]
    random = np.random.default_rng(0)
    tensor = INPUT
    for layer in range(LAYERS):
        steps = random.integers(-64, 64, (CHANNELS, CHANNELS, KERNEL, KERNEL)).astype(np.int8)
        if int8:
            nodes += [
                helper.make_node("QuantizeLinear", [tensor, *activation], [f"{layer} quantised"]),
                helper.make_node("DequantizeLinear", [f"{layer} quantised", *activation], [f"{layer} in"]),
                helper.make_node("DequantizeLinear", [constant(f"{layer} int8", steps), *weight], [f"{layer} weight"]),
            ]
            factors = [f"{layer} in", f"{layer} weight"]
        else:
            factors = [tensor, constant(f"{layer} weight", steps * np.float32(0.001))]
        nodes += [
            helper.make_node("Conv", factors, [f"{layer} sum"], pads=[KERNEL // 2] * 4),
            helper.make_node("Relu", [f"{layer} sum"], [f"{layer} out"]),
        ]
        tensor = f"{layer} out"
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["means"]))
    images = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, CHANNELS, SIDE, SIDE])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, [1, CHANNELS, 1, 1])
    graph = helper.make_graph(nodes, "peak", [images], [means], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _seconds(chain: Engine, images: np.ndarray) -> float:
    start = time.perf_counter()
    chain(images)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in this process and print one line of JSON."""
    command = argparse.ArgumentParser(description="Peak MACs per second; prints JSON.")
    command.add_argument("--engine", help="default: the runtime's choice")
    command.add_argument("--threads", type=int, help="default: the engine's choice")
    command.add_argument("--precision", default="f32", help="f32, or auto for the engine's fastest")
    options = command.parse_args(arguments)
    print(json.dumps(asdict(measure_peak(options.engine, options.threads, options.precision))))


if __name__ == "__main__":
    main()
