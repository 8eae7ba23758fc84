"""OpenVINO runs `.onnx` files and its own `.xml` with `.bin`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import openvino

from m2fp_kd.runtime.engines.compiled import compiled_file, compiled_folder, read_compiled, write_compiled
from m2fp_kd.runtime.engines.engine import Engine, wanted_outputs

# The first call of this sets up NumPy's types in OpenVINO. Were two threads' first inferences to do so at the same
# time, each would wait for the other for ever: one holds the interpreter's lock, the other the set-up's.
openvino.Type.u8.to_dtype()

SIZES_KEPT = 8
"""INT8 models of dynamic size are compiled for each size of canvas anew; this many are kept, those used last.

Compiled once for all sizes they answer wrongly on CPUs with AMX (a ShuffleNetV2's masks by 18 %), or crash the process
(openvinotoolkit/openvino#37577). For one size they are also a tenth to a fifth faster.
"""


def load(
    path: Path, threads: int | None, arithmetic: str, outputs: Sequence[str] | None, keep: bool, streams: int
) -> Engine:
    """Load a model; see `open_engine`."""
    # Pinned threads take the first cores, whoever else is there: two processes of one thread would share one core.
    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    if arithmetic == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if threads:
        settings |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
    folder = compiled_folder(path) if keep else None
    wanted = _Wanted.all_of(path) if outputs is None else _Wanted.some_of(path, outputs)

    @lru_cache(SIZES_KEPT)
    def requests(shape: tuple[int, ...] | None) -> SimpleQueue[openvino.InferRequest]:
        model = wanted.model
        if shape:
            model = model.clone()
            model.reshape(shape)
        compiled = _compile(model, settings, folder)
        idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(streams):
            idle.put(compiled.create_infer_request())
        return idle

    one_by_one = wanted.model.is_dynamic() and _is_int8(wanted.model)
    if not one_by_one:
        requests(None)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        idle = requests(images.shape if one_by_one else None)
        request = idle.get()
        try:
            results = request.infer({0: images}, share_inputs=True)
            said = {name: results[index] for index, name in enumerate(wanted.names)}
        finally:
            idle.put(request)
        return said | {name: np.log(said[name]) for name in wanted.logarithms}

    ran_in = arithmetic if arithmetic == "f32" else _core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    batch = wanted.model.input(0).partial_shape[0]
    return Engine("openvino", ran_in, wanted.names, run, batch.get_length() if batch.is_static else None)


@dataclass(frozen=True)
class _Wanted:
    """What of a model is to be computed.

    Attributes:
        model: computes it.
        names: of its outputs, in order.
        logarithms: those of them of which the logarithm is still to be taken.
    """

    model: openvino.Model
    names: tuple[str, ...]
    logarithms: tuple[str, ...] = ()

    @classmethod
    def all_of(cls, path: Path) -> "_Wanted":
        """The whole file as it is."""
        model = _core().read_model(path)
        return cls(model, tuple(output.any_name for output in model.outputs))

    @classmethod
    def some_of(cls, path: Path, outputs: Sequence[str]) -> "_Wanted":
        """Some outputs, as fast as they can be had.

        Where all sizes but the batch are fixed, and in INT8 (see `SIZES_KEPT`), the batch becomes one photo: that is a
        tenth to a fifth faster, and more photos in a call are not. A logarithm at the end is left to NumPy, which takes
        a fifth of the time.
        """
        model = _core().read_model(path)
        names = wanted_outputs(path, outputs, [output.any_name for output in model.outputs])
        batch, *sides = model.input(0).partial_shape
        if batch.is_dynamic and (all(side.is_static for side in sides) or _is_int8(model)):
            model.reshape([1, *sides])
        ends = {name: model.output(name).node.input_value(0) for name in names}
        logarithms = tuple(name for name, end in ends.items() if end.node.get_type_name() == "Log")
        ends |= {name: ends[name].node.input_value(0) for name in logarithms}
        results = [openvino.opset13.result(end) for end in ends.values()]
        return cls(openvino.Model(results, model.get_parameters()), names, logarithms)


def _compile(model: openvino.Model, settings: dict[str, object], folder: Path | None) -> openvino.CompiledModel:
    """Compile a model, or take what is kept of it in a folder."""
    if folder is None:
        return _core().compile_model(model, "CPU", settings)
    sizes, outputs = model.input(0).partial_shape.to_string(), [output.any_name for output in model.outputs]
    file = compiled_file(folder, settings | {"version": openvino.__version__, "sizes": sizes, "outputs": outputs})
    if (kept := read_compiled(file)) is not None:
        return _core().import_model(kept, "CPU", settings)
    compiled = _core().compile_model(model, "CPU", settings)
    write_compiled(file, compiled.export_model().getvalue())
    return compiled


def _is_int8(model: openvino.Model) -> bool:
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def metadata(path: Path, key: str) -> str | None:
    """The text under `key` in an ONNX file's metadata; None if there is none."""
    model = _core().read_model(path)
    where = ["framework", key]
    return str(model.get_rt_info(where).value) if model.has_rt_info(where) else None


@cache
def _core() -> openvino.Core:
    """The process's one core, kept for good.

    CPU plugin gives the calling thread a signal stack. Were the plugin unloaded with the last model, the next signal
    (a child that ends, say) would be delivered to freed memory and crash the process.
    """
    return openvino.Core()
