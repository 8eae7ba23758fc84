"""OpenVINO runs `.onnx` files and its own `.xml` with `.bin`."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np
import openvino

from m2fp_kd.runtime.engines.compiled import compiled_file, read_compiled, write_compiled
from m2fp_kd.runtime.engines.engine import Engine, wanted_outputs

# The first call sets up NumPy's types in OpenVINO. If two threads' first inferences did so at the same time, they would
# deadlock: one holds the interpreter's lock, the other the lock of the set-up.
openvino.Type.u8.to_dtype()

SIZES_KEPT = 32
"""Compiled INT8 models of dynamic size that are kept, one per size of canvas and batch; the least recently used go.

Photos whose longest side is 512 pixels have 31 canvas sizes. Compiled once for all sizes, such models give wrong
results on CPUs with AMX (a ShuffleNetV2's masks are 18 % off) or crash the process (openvinotoolkit/openvino#37577).
Compiled for one size they are also a tenth to a fifth faster.
"""


def load(
    path: Path, threads: int | None, precision: str, outputs: Sequence[str] | None, keep: bool, streams: int
) -> Engine:
    """Load a model; see `open_engine`."""
    # Pinned threads take the first cores even if they are busy: two processes of one thread would share one core.
    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    if precision == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    wanted = _Wanted.all_of(path) if outputs is None else _Wanted.some_of(path, outputs)
    # Compiled for several streams, INT8 models answer wrongly on CPUs with VNNI, in 1 to 20 % of pixels and differently
    # after every start (OpenVINO 2026.4.1): every stream gets a model of its own.
    copies = streams if _is_int8(wanted.model) else 1
    if threads:
        shared = streams // copies
        settings |= {"NUM_STREAMS": shared, "INFERENCE_NUM_THREADS": shared * threads}

    @lru_cache(SIZES_KEPT)
    def requests(shape: tuple[int, ...] | None) -> SimpleQueue[openvino.InferRequest]:
        model = wanted.model
        if shape:
            model = model.clone()
            model.reshape(shape)
        idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for compiled in _compile_copies(copies, model, settings, path if keep else None):
            for _ in range(streams // copies):
                idle.put(compiled.create_infer_request())
        return idle

    size_by_size = wanted.model.is_dynamic() and _is_int8(wanted.model)
    if not size_by_size:
        requests(None)
    compiling = Lock()  # several threads may meet a new size at the same time

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with compiling:
            idle = requests(images.shape if size_by_size else None)
        request = idle.get()
        try:
            results = dict(zip(wanted.names, _infer(request, images), strict=True))
        finally:
            idle.put(request)
        return results | {name: np.log(results[name]) for name in wanted.logarithms}

    ran_in = precision if precision == "f32" else _core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    batch = wanted.model.input(0).partial_shape[0]
    return Engine("openvino", ran_in, wanted.names, run, batch.get_length() if batch.is_static else None)


@dataclass(frozen=True)
class _Wanted:
    """The outputs of a model that are computed.

    Attributes:
        model: model that computes them.
        names: names of its outputs, in order.
        logarithms: names of the outputs whose logarithm NumPy takes afterwards.
    """

    model: openvino.Model
    names: tuple[str, ...]
    logarithms: tuple[str, ...] = ()

    @classmethod
    def all_of(cls, path: Path) -> "_Wanted":
        """Return all outputs of an unchanged model."""
        model = _core().read_model(path)
        return cls(model, tuple(output.any_name for output in model.outputs))

    @classmethod
    def some_of(cls, path: Path, outputs: Sequence[str]) -> "_Wanted":
        """Return some outputs, of a model that is reshaped and cut for speed.

        Where all sizes but the batch are fixed, and in INT8 (see `SIZES_KEPT`), the batch is fixed to one photo: that
        is a tenth to a fifth faster, and larger batches gain nothing. NumPy computes a final logarithm in a fifth of
        the time.
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


def _compile_copies(
    copies: int, model: openvino.Model, settings: dict[str, object], keep: Path | None
) -> list[openvino.CompiledModel]:
    """Compile a model several times, after the first time in parallel: 64 cached copies take 5 s of CPU time."""
    first = _compile(model, settings, keep)
    with ThreadPoolExecutor() as pool:
        return [first, *pool.map(lambda _: _compile(model, settings, keep), range(copies - 1))]


def _compile(model: openvino.Model, settings: dict[str, object], keep: Path | None) -> openvino.CompiledModel:
    """Compile a model, or load the compiled one from the cache; ``keep`` is the file that the model comes from."""
    file = compiled_file(keep, settings | _made_with(model)) if keep else None
    if file and (kept := read_compiled(file)) is not None:
        with suppress(RuntimeError):  # OpenVINO rejects it: compile again
            return _core().import_model(kept, "CPU", settings)
    compiled = _core().compile_model(model, "CPU", settings)
    if file:
        write_compiled(file, compiled.export_model().getvalue())
    return compiled


def _made_with(model: openvino.Model) -> dict[str, object]:
    """Return everything that a compiled model depends on besides its file and the settings."""
    return {
        "version": openvino.__version__,
        "cpu": _core().get_property("CPU", "FULL_DEVICE_NAME"),
        "precisions": _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        "sizes": model.input(0).partial_shape.to_string(),
        "outputs": [output.any_name for output in model.outputs],
    }


def _infer(request: openvino.InferRequest, images: np.ndarray) -> list[np.ndarray]:
    """Return the model's outputs in arrays that no later inference overwrites.

    Where sizes are fixed, OpenVINO writes into these arrays: copying masks takes 6 to 10 % of an m2fp student's time.
    """
    outputs = request.model_outputs
    if any(output.partial_shape.is_dynamic for output in outputs):
        results = request.infer({0: images}, share_inputs=True)
        return [results[index] for index in range(len(outputs))]
    arrays = [np.empty(output.shape, output.element_type.to_dtype()) for output in outputs]
    for output, array in zip(outputs, arrays, strict=True):
        request.set_tensor(output, openvino.Tensor(array, shared_memory=True))
    request.infer({0: images}, share_inputs=True, share_outputs=True)
    return arrays


def _is_int8(model: openvino.Model) -> bool:
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def metadata(path: Path, key: str) -> str | None:
    """Return the text under `key` in an ONNX file's metadata; None if there is none."""
    model = _core().read_model(path)
    where = ["framework", key]
    return str(model.get_rt_info(where).value) if model.has_rt_info(where) else None


@cache
def _core() -> openvino.Core:
    """Return the only core of the process, which is never released.

    The CPU plugin installs a signal stack in the calling thread. If the plugin were unloaded with the last model, the
    next signal (such as SIGCHLD) would be delivered to freed memory and crash the process.
    """
    return openvino.Core()
