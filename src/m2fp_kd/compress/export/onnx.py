"""Export a trained network to one ONNX file, from the uint8 canvas to the part map."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import onnx
import torch
from onnx import ModelProto
from pydantic.dataclasses import dataclass
from torch import nn

from m2fp_kd.compress.export.capabilities import NETWORKS, Cell, kind_of, require
from m2fp_kd.compress.export.deployable import Deployable, M2FPAsStudent, deployable, example_canvases
from m2fp_kd.compress.export.reduction import reduced_in_blocks
from m2fp_kd.compress.options import STRICT, Name
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import Card, save_card
from m2fp_kd.runtime.files import atomic_path
from m2fp_kd.runtime.geometry import Geometry

OPSET = 17


def export_onnx(network: nn.Module, path: str | Path, card: Card) -> None:
    """Export a network in fp32, with its card embedded and as `card.json` beside it.

    The batch is dynamic (one photo for an M2FP), and so are height and width unless the card's geometry is fixed.

    Args:
        network: student (maps RGB images 0..255 (N, 3, H, W) to a `StudentOutput`) or M2FP.
        path: `.onnx` file to write.
        card: card with the network's label set, geometry and head.

    Raises:
        Unsupported: this network cannot be exported to ONNX.
        onnx.checker.ValidationError: the exporter made a broken graph; nothing is written.
    """
    geometry = Geometry(**card.geometry)
    require(Cell("onnx", "fp32", kind_of(network, card), geometry.fixed))
    copied = deployable(network, card)
    if geometry.fixed:
        reduced_in_blocks(copied, geometry.size)
    write_artefact(to_onnx(copied, geometry), path, card)


def write_artefact(model: ModelProto, path: str | Path, card: Card) -> None:
    """Check a model, write it in one step and add its card."""
    onnx.checker.check_model(model, full_check=True)
    del model.metadata_props[:]  # else an INT8 model would hold its parent's card until its own is written
    with atomic_path(path) as temporary:
        onnx.save(model, temporary)
    save_card(path, replace(card, outputs=[output.name for output in model.graph.output]))


def to_onnx(deployable: Deployable, geometry: Geometry) -> ModelProto:
    """Trace a network on the CPU; in eval mode, the exporter folds its BatchNorms into the convolutions.

    The tracing exporter is deprecated but makes the better graph: on these networks `dynamo=True` takes 20 times as
    long, wraps the global pooling in a loop and hides the biases from NNCF's bias correction.
    """
    example = example_canvases(geometry)
    axes = _dynamic_axes(deployable.outputs, geometry.fixed)
    if isinstance(deployable.student, M2FPAsStudent):
        example, axes = example[:1], {}  # with a dynamic batch, OpenVINO computes empty masks for an M2FP in INT8
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore", DeprecationWarning)  # see above
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the parity check finds wrong constants
        warnings.filterwarnings("ignore", "Constant folding")  # a note on what is left in the graph
        torch.onnx.export(
            deployable,
            (example,),
            file,
            opset_version=OPSET,
            input_names=["images"],
            output_names=list(deployable.outputs),
            dynamic_axes=axes,
            dynamo=False,
        )
        model = onnx.load(file)
    remove_idle_casts(model)
    return model


def _dynamic_axes(outputs: tuple[str, ...], fixed: bool) -> dict[str, dict[int, str]]:
    axes = {name: {0: "batch"} for name in ("images", *outputs)}
    if not fixed:
        axes["images"] |= {1: "height", 2: "width"}
        axes["part_map"] |= {1: "height", 2: "width"}
        for name in {"part_logits", "mask_logits"} & set(outputs):
            axes[name] |= {2: "height/4", 3: "width/4"}
    return axes


def remove_idle_casts(model: ModelProto) -> None:
    """Remove casts to the type that a tensor already has (`.float()` on float32), because NNCF fails on some."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in [*inferred.value_info, *inferred.input]}
    outputs = {value.name for value in model.graph.output}
    for cast in [node for node in model.graph.node if node.op_type == "Cast"]:
        source, target = cast.input[0], cast.output[0]
        if types.get(source) != cast.attribute[0].i or (source in outputs and target in outputs):
            continue
        model.graph.node.remove(cast)
        old, new = (source, target) if target in outputs else (target, source)
        for node in model.graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == old:
                        names[index] = new


@dataclass(frozen=True, config=STRICT)
class Export:
    """Export to fp32 ONNX, the source of INT8."""

    kind: ClassVar[str] = "export"
    format: ClassVar[str] = "onnx"
    networks: ClassVar[Sequence[str]] = NETWORKS
    made_from: ClassVar[None] = None
    name: Name = "fp32"

    def __call__(self, source: Source, folder: Path) -> Path:
        path = folder / "model.onnx"
        export_onnx(source.student, path, source.card)
        return path
