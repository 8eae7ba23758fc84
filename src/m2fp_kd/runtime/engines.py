"""The inference engines that run an artefact on a CPU: OpenVINO and ONNX Runtime, imported only when used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import openvino

ENGINES = ("openvino", "onnxruntime")
"""In order of preference."""

ARITHMETICS = ("f32", "auto")

INPUT = "images"

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


class EngineError(ValueError):
    """An engine that is missing or cannot run a model; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """A loaded model, callable from any thread.

    Attributes:
        name: "openvino" or "onnxruntime".
        arithmetic: what its floating-point part really runs in: "f32", or "bf16" / "f16" where the engine chose so.
        outputs: names of the outputs it computes.
    """

    name: str
    arithmetic: str
    outputs: tuple[str, ...]
    run: Run

    def __call__(self, images: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the model on canvases, uint8 (N, h, w, 3), given as such or as `{"images": canvases}`."""
        return self.run(np.ascontiguousarray(images[INPUT] if isinstance(images, Mapping) else images))


def open_engine(
    path: str | Path,
    engine: str | None = None,
    threads: int | None = None,
    arithmetic: str = "f32",
    outputs: Sequence[str] | None = None,
) -> Engine:
    """Load a model into an engine.

    Args:
        path: an `.onnx` file, or OpenVINO's `.xml`.
        engine: one of `ENGINES`; None for OpenVINO if it is installed, else ONNX Runtime.
        threads: CPU threads; None leaves it to the engine.
        arithmetic: "f32", or "auto" for what the engine finds fastest (OpenVINO: bf16 on CPUs that have it).
        outputs: names of the outputs to compute; None for all.

    Raises:
        EngineError: the engine is unknown, not installed, or cannot load the model or give these outputs.
    """
    path = Path(path)
    if arithmetic not in ARITHMETICS:
        raise EngineError(f"unknown arithmetic '{arithmetic}'; choose from {', '.join(ARITHMETICS)}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1, not {threads}")
    name = _choose(path, engine)
    opener = _open_openvino if name == "openvino" else _open_onnxruntime
    try:
        return opener(path, threads, arithmetic, outputs)
    except EngineError:
        raise
    except Exception as error:  # each engine has its own kinds of error
        raise EngineError(f"{path}: {name} cannot load it ({error})") from error


def read_metadata(path: Path, key: str) -> str | None:
    """The text under `key` in an ONNX file's metadata, read by whichever engine is installed; None if there is none."""
    try:
        if _choose(path, None) == "onnxruntime":
            return _onnxruntime_session(path, None).get_modelmeta().custom_metadata_map.get(key)
        model = _openvino_core().read_model(path)
        where = ["framework", key]
        return str(model.get_rt_info(where).value) if model.has_rt_info(where) else None
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{path}: cannot be read ({error})") from error


def _choose(path: Path, engine: str | None) -> str:
    able = ENGINES if path.suffix == ".onnx" else ("openvino",)
    if engine is not None and engine not in ENGINES:
        raise EngineError(f"unknown engine '{engine}'; choose from {', '.join(ENGINES)}")
    if engine is not None and engine not in able:
        raise EngineError(f"{engine} runs .onnx files, not {path.name}; use the openvino engine")
    wanted = [engine] if engine else able
    for name in wanted:
        if find_spec(name):
            return name
    raise EngineError(f"{' or '.join(wanted)} is not installed: pip install 'm2fp-kd[serve]'")


def _wanted(path: Path, outputs: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
    if missing := sorted(set(outputs or ()) - set(available)):
        raise EngineError(f"{path}: has no output {', '.join(missing)}, only {', '.join(available)}")
    return tuple(outputs or available)


@cache
def _openvino_core() -> "openvino.Core":
    """The process's one core, kept for good.

    CPU plugin gives the calling thread a signal stack. Were the plugin unloaded with the last model, the next signal
    (a child that ends, say) would be delivered to freed memory and crash the process.
    """
    import openvino

    return openvino.Core()


def _open_openvino(path: Path, threads: int | None, arithmetic: str, outputs: Sequence[str] | None) -> Engine:
    import openvino

    core = _openvino_core()
    model = core.read_model(path)
    names = _wanted(path, outputs, [output.any_name for output in model.outputs])
    if outputs is not None:
        results = [openvino.opset13.result(model.output(name).node.input_value(0)) for name in names]
        model = openvino.Model(results, model.get_parameters())
    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
    if arithmetic == "f32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(model, "CPU", settings)
    request, lock = compiled.create_infer_request(), Lock()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with lock:
            results = request.infer({0: images}, share_inputs=True)
            return {name: results[index] for index, name in enumerate(names)}

    ran_in = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    return Engine("openvino", ran_in, names, run)


def _open_onnxruntime(path: Path, threads: int | None, arithmetic: str, outputs: Sequence[str] | None) -> Engine:
    session = _onnxruntime_session(path, threads)
    names = _wanted(path, outputs, [output.name for output in session.get_outputs()])

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {INPUT: images}), strict=True))

    return Engine("onnxruntime", "f32", names, run)


def _onnxruntime_session(path: Path, threads: int | None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
