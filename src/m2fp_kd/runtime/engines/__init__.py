"""The inference engines that run an artefact on a CPU, each imported only when it is used."""

import platform
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from m2fp_kd.runtime.engines.engine import INPUT, Engine, EngineError
from m2fp_kd.versions import install_hint

__all__ = ["ENGINES", "INPUT", "PRECISIONS", "Engine", "EngineError", "engines_for", "open_engine", "read_metadata"]

ENGINES = {
    "openvino": (".onnx", ".xml"),
    "onnxruntime": (".onnx",),
    "torchscript": (".pt",),
    "torch_export": (".pt2",),
    "executorch": (".pte",),
    "litert": (".tflite",),
    "ncnn": (".param",),
}
"""Name -> endings of the files that it runs; in order of preference, but see `SLOW`."""

SLOW = {"aarch64": "openvino", "arm64": "openvino"}
"""Architecture -> the engine that comes last there: on Arm, OpenVINO takes more work for INT8 than for fp32."""

PRECISIONS = ("f32", "auto")

INSTALL = {
    "openvino": ("openvino", "serve"),
    "onnxruntime": ("onnxruntime", "serve"),
    "torchscript": ("torch", "train"),
    "torch_export": ("torch", "train"),
    "executorch": ("executorch", "executorch"),
    "litert": ("ai_edge_litert", "litert"),
    "ncnn": ("ncnn", "ncnn"),
}
"""Name -> the package that it needs, and the extra that installs it."""


def open_engine(
    path: str | Path,
    engine: str | None = None,
    threads: int | None = None,
    precision: str = "f32",
    outputs: Sequence[str] | None = None,
    keep: bool = False,
    streams: int = 1,
) -> Engine:
    """Load a model into an engine.

    Args:
        path: an `.onnx` file, OpenVINO's `.xml`, a TorchScript `.pt`, an exported program `.pt2`, or a file for phones
            and boards: ExecuTorch's `.pte`, LiteRT's `.tflite`, ncnn's `.param`.
        engine: one of `ENGINES`; None for the first of `engines_for(path)`: OpenVINO for `.onnx` files, on Arm ONNX
            Runtime.
        threads: CPU threads; None leaves it to the engine.
        precision: "f32", or "auto" for what the engine finds fastest (OpenVINO: bf16 on CPUs that have it).
        outputs: names of the outputs to compute; None for all.
        keep: keep what OpenVINO compiles in the user's cache, for models that will be loaded again.
        streams: calls that run concurrently, each made from a thread of its own and computed in `threads` threads. They
            share one copy of the weights, or one per size where a model is compiled per size. PyTorch runs one call
            after the other, in `streams * threads` threads.

    Raises:
        EngineError: the engine is unknown, is not installed, was built for another machine, cannot load the model or
            lacks these outputs.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise EngineError(f"unknown precision '{precision}'; choose from {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1, not {threads}")
    name = _choose(path, engine)
    opener = _import(name)
    try:
        if name == "openvino":
            return opener.load(path, threads, precision, outputs, keep, streams)
        if INSTALL[name][0] == "torch" and threads:
            threads *= streams
        return opener.load(path, threads, precision, outputs)
    except EngineError:
        raise
    except Exception as error:  # each engine has its own kinds of error
        raise EngineError(f"{path}: {name} cannot load it ({error})") from error


def engines_for(path: Path) -> list[str]:
    """Return the installed engines that run a file, in order of preference."""
    return [name for name in _able(path) if find_spec(INSTALL[name][0])]


def read_metadata(path: Path, key: str) -> str | None:
    """Return the text under `key` in an ONNX file's metadata, by any installed engine; None if there is none."""
    try:
        return _import(_choose(path, None)).metadata(path, key)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{path}: cannot be read ({error})") from error


def _able(path: Path) -> list[str]:
    """Return the engines that run a file, installed or not, in order of preference on this machine."""
    able = [name for name, suffixes in ENGINES.items() if path.suffix in suffixes]
    return sorted(able, key=lambda name: name == SLOW.get(platform.machine().lower()))


def _import(name: str) -> ModuleType:
    """Import the module of an engine, and with it the engine's package.

    Raises:
        EngineError: a shared library does not load, because it was built for another machine or needs a missing one.
    """
    try:
        return import_module(f"m2fp_kd.runtime.engines.{name}")
    except (ImportError, OSError) as error:
        package = INSTALL[name][0]
        raise EngineError(
            f"{package} is installed, but does not load on this machine ({platform.machine()}): "
            f"{' '.join(str(error).split())}; if it was built for another machine, pip install --force-reinstall "
            f"{package}, else install the library that it lacks"
        ) from error


def _choose(path: Path, engine: str | None) -> str:
    if engine is not None and engine not in ENGINES:
        raise EngineError(f"unknown engine '{engine}'; choose from {', '.join(ENGINES)}")
    able = _able(path)
    if not able:
        known = ", ".join(dict.fromkeys(suffix for suffixes in ENGINES.values() for suffix in suffixes))
        raise EngineError(f"{path}: no engine runs such files; export one of {known}")
    if engine is not None and engine not in able:
        runs = " and ".join(ENGINES[engine])
        raise EngineError(f"{engine} runs {runs} files, not {path.name}; use the {' or '.join(able)} engine")
    wanted = [engine] if engine else able
    for name in wanted:
        if find_spec(INSTALL[name][0]):
            return name
    packages = " or ".join(dict.fromkeys(INSTALL[name][0] for name in wanted))
    raise EngineError(f"{packages} is not installed: {install_hint(INSTALL[wanted[0]][1])}")
