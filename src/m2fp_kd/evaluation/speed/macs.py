"""Count multiply-accumulates (MACs) of an ONNX graph.

Run ``python -m m2fp_kd.evaluation.speed.macs FILE --canvas HEIGHT WIDTH``. Only convolutions and matrix products
count; all other operations are negligible beside them.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

INTEGER_PRODUCTS = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", *INTEGER_PRODUCTS)


@dataclass(frozen=True)
class Macs:
    """MACs of one run of a network.

    Attributes:
        floating: MACs on floating-point numbers.
        int8: MACs whose two factors are 8-bit integers.
    """

    floating: int
    int8: int

    @property
    def total(self) -> int:
        """Number of all MACs."""
        return self.floating + self.int8

    def least_ms(self, peak: "Peak") -> float:
        """Return the milliseconds that the MACs take at a CPU's peak, all other operations being free."""
        return 1000 * (self.floating / peak.floating + self.int8 / peak.int8)


@dataclass(frozen=True)
class Peak:
    """Highest measured MACs per second on this CPU, in floating point and in INT8."""

    floating: float
    int8: float


def count_macs(model: Path, canvas: tuple[int, int]) -> Macs:
    """Count the MACs of an exported network for one canvas (height, width).

    Shapes come from a run on zeros, because shapes behind padding that adapts to the input cannot be inferred.

    Raises:
        onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument: the network does not accept a canvas of this size.
    """
    import onnx

    graph = onnx.load(model).graph
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    floating = int8 = 0
    for node, shapes in zip(products, _shapes(model, products, canvas), strict=True):
        macs = product_macs(node, *shapes)
        if node.op_type in INTEGER_PRODUCTS or dequantised.issuperset(node.input[:2]):
            int8 += macs
        else:
            floating += macs
    return Macs(floating, int8)


def product_macs(node: "onnx.NodeProto", left: tuple[int, ...], right: tuple[int, ...], result: tuple[int, ...]) -> int:
    """Return the MACs of one node of `PRODUCTS` from the shapes of its two factors and its result."""
    operation = INTEGER_PRODUCTS.get(node.op_type, node.op_type)
    if operation == "Conv":  # each output is a sum over a kernel; weights are (out, in / groups, *kernel)
        return math.prod(result) * math.prod(right[1:])
    if operation == "ConvTranspose":  # each input is spread by a kernel; weights are (in, out / groups, *kernel)
        return math.prod(left) * math.prod(right[1:])
    transposed = operation == "Gemm" and any(item.name == "transA" and item.i for item in node.attribute)
    return math.prod(result) * left[-2 if transposed else -1]


def _shapes(
    path: Path, products: list["onnx.NodeProto"], canvas: tuple[int, int]
) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Return the shapes of both factors and of the result of every product."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    outputs = len(model.graph.output)
    names = [name for node in products for name in (*node.input[:2], node.output[0])]
    for index, name in enumerate(names):
        model.graph.node.append(onnx.helper.make_node("Shape", [name], [f"shape of {index}"]))
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(f"shape of {index}", onnx.TensorProto.INT64, ["rank"])
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    shapes = session.run(None, {session.get_inputs()[0].name: np.zeros((1, *canvas, 3), np.uint8)})
    shapes = [tuple(map(int, shape)) for shape in shapes[outputs:]]
    return zip(shapes[::3], shapes[1::3], shapes[2::3], strict=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print one line of JSON."""
    command = argparse.ArgumentParser(description="MACs of an exported network for one photo; prints JSON.")
    command.add_argument("model", type=Path, help="an .onnx file")
    command.add_argument("--canvas", type=int, nargs=2, required=True, metavar=("HEIGHT", "WIDTH"))
    options = command.parse_args(arguments)
    print(json.dumps(asdict(count_macs(options.model, tuple(options.canvas)))))


if __name__ == "__main__":
    main()
