"""Exported models as frozen networks: this project's artefacts, and other people's ONNX, OpenVINO or TorchScript files.

Their engines run on the CPU, except TorchScript files of other people, which run where their weights are.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from m2fp_kd.distill.teachers.resample import resample
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.engines import Engine, EngineError, open_engine
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.versions import install_hint

SUFFIXES = (".onnx", ".xml", ".pt2", ".pt")


def is_artefact(path: Path) -> bool:
    """Return whether a file is an exported model; a published checkpoint may end in ``.pt`` too."""
    if path.suffix != ".pt":
        return path.suffix in SUFFIXES
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


class Artefact(nn.Module):
    """An artefact of this project in its engine.

    Args:
        engine: computes ``part_logits`` alone.
        side: side of the only canvas that it takes; None for any. Other images are resized.
    """

    def __init__(self, engine: Engine, side: int | None) -> None:
        super().__init__()
        self.engine = engine
        self.side = side

    def forward(self, images: Tensor) -> StudentOutput:
        """Predict part logits (B, P, h, w) of images (B, 3, H, W), RGB 0..255, which are rounded to integers."""
        if self.side is not None:
            images = resample(images, (self.side, self.side))
        canvases = images.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        step = self.engine.max_batch or len(canvases)
        batches = [canvases[first : first + step] for first in range(0, len(canvases), step)]
        found = np.concatenate([self.engine(batch)["part_logits"] for batch in batches])
        return StudentOutput(torch.from_numpy(found).to(images.device))


def open_artefact(path: Path, geometry: Geometry) -> Artefact:
    """Open an artefact of this project, whose card has this geometry.

    Raises:
        EngineError: no engine runs it, or it is older than the output ``part_logits``.
    """
    return Artefact(open_engine(path, outputs=["part_logits"]), geometry.size if geometry.fixed else None)


class ForeignArtefact(nn.Module):
    """An exported model of other people that maps normalised images (B, 3, H, W) to class logits (B, K, h, w).

    Args:
        run: computes its first output for a float32 array.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        """Predict class logits."""
        found = [self.run(image[None]) for image in images.cpu().numpy()]
        return torch.from_numpy(np.concatenate(found)).to(images.device)


def open_foreign_artefact(path: Path) -> tuple[nn.Module, tuple[int, int] | None]:
    """Open an exported model of other people; return it, and height and width of the only images that it takes.

    Raises:
        EngineError: the engine is not installed or cannot load the model.
    """
    openers = {".onnx": _onnx, ".xml": _openvino, ".pt": _torchscript}
    if path.suffix not in openers:
        raise EngineError(f"{path}: without a card.json only {', '.join(openers)} files can be used")
    try:
        return openers[path.suffix](path)
    except ImportError as error:
        raise EngineError(f"{path} needs {error.name}: {install_hint('serve')}") from error
    except Exception as error:  # each engine has its own kinds of error
        raise EngineError(f"{path} cannot be loaded ({error})") from error


def _onnx(path: Path) -> tuple[nn.Module, tuple[int, int] | None]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    sides = _sides([one.shape for one in inputs])
    return ForeignArtefact(lambda array: session.run([outputs[0].name], {inputs[0].name: array})[0]), sides


@cache
def _core() -> Any:
    """Return an OpenVINO core that is never released; see `m2fp_kd.runtime.engines.openvino`."""
    import openvino

    return openvino.Core()


def _openvino(path: Path) -> tuple[nn.Module, tuple[int, int] | None]:
    model = _core().read_model(path)
    sides = _sides(
        [[side.get_length() if side.is_static else None for side in one.partial_shape] for one in model.inputs]
    )
    compiled = _core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ForeignArtefact(lambda array: compiled(array)[0]), sides


def _torchscript(path: Path) -> tuple[nn.Module, None]:
    return torch.jit.load(path, map_location="cpu"), None


def _sides(shapes: Sequence[Sequence[Any]]) -> tuple[int, int] | None:
    """Return height and width of a model's only input, from the shapes of all; None where any will do.

    Raises:
        ValueError: the model has another input than images.
    """
    images = [shape for shape in shapes if len(shape) == 4 and (shape[1] in (3, None) or isinstance(shape[1], str))]
    if len(shapes) != 1 or not images:
        found = ", ".join(str(list(shape)) for shape in shapes)
        raise ValueError(f"its inputs have the shapes {found} instead of one of (images, 3, height, width)")
    height, width = images[0][2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
