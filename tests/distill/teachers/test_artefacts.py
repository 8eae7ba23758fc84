"""Exported models of other people as teachers: which inputs they may have."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import openvino
import pytest
from onnx import TensorProto, helper

from m2fp_kd.distill.teachers.artefacts import open_foreign_artefact
from m2fp_kd.runtime.engines import EngineError

Shape = Sequence[int | str]


def exported(path: Path, shapes: Sequence[Shape]) -> Path:
    """Write a model that returns its first input."""
    inputs = [
        helper.make_tensor_value_info(f"in{number}", TensorProto.FLOAT, shape) for number, shape in enumerate(shapes)
    ]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, shapes[0])
    graph = helper.make_graph([helper.make_node("Identity", ["in0"], ["out"])], "same", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path.with_suffix(".onnx"))
    if path.suffix == ".xml":
        openvino.save_model(openvino.Core().read_model(path.with_suffix(".onnx")), path)
    return path


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize(("shape", "sides"), [((1, 3, 64, 96), (64, 96)), (("N", 3, "H", "W"), None)])
def test_the_sides_of_the_only_images(tmp_path: Path, shape: Shape, sides: tuple[int, int] | None, suffix: str) -> None:
    assert open_foreign_artefact(exported(tmp_path / f"model{suffix}", [shape]))[1] == sides


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("shapes", [[(1, 3, 64, 64), (1, 2)], [(1, 3)], [(1, 4, 64, 64)]])
def test_other_inputs_are_refused(tmp_path: Path, shapes: Sequence[Shape], suffix: str) -> None:
    with pytest.raises(EngineError, match=r"its inputs have the shapes \[1, [34].*instead of one of \(images, 3, h"):
        open_foreign_artefact(exported(tmp_path / f"model{suffix}", shapes))
