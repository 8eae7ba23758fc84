"""A covering subset of the capability table; `benchmarks/capabilities.py` runs all of it, on every backbone."""

from pathlib import Path
from typing import Any

import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from torch import nn
from torch.fx.proxy import TraceError

import m2fp_kd.compress.export.onnx as export
import m2fp_kd.compress.int8.fx as fx
from benchmarks.capabilities import LABELS, Agreement, build, check, make, noise, weights_of
from m2fp_kd.compress.export.capabilities import (
    ARTEFACT_FORMATS,
    NETWORKS,
    PRECISIONS,
    Cell,
    Unsupported,
    cells,
    refusal,
    require,
)
from m2fp_kd.compress.export.deployable import example_canvases
from m2fp_kd.compress.steps import CONVERTERS
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.engines import open_engine, openvino
from m2fp_kd.runtime.geometry import Geometry

BACKBONE = "mobilenetv3_small"

WORKING = [
    Cell("onnx", "fp32", "fpn", False),
    Cell("openvino", "fp32", "fpn", True),
    Cell("torchscript", "fp32", "fpn", True),
    Cell("torch_export", "fp32", "fpn", False),
    Cell("onnx", "fp32", "m2fp", True),
    Cell("openvino", "fp32", "m2fp", False),
    Cell("torchscript", "fp32", "m2fp", False),
    pytest.param(Cell("torch_export", "fp32", "m2fp", True), marks=pytest.mark.long),
    Cell("onnx", "fp32", "teacher", True),
    Cell("openvino", "fp32", "teacher", True),
    Cell("torchscript", "fp32", "teacher", False),
    Cell("openvino", "int8", "fpn", False),
    Cell("torchscript", "int8", "fpn", False),
    pytest.param(Cell("onnx", "int8", "m2fp", True), marks=pytest.mark.long),  # a run quantises an M2FP too
    Cell("openvino", "int8", "teacher", True),
    pytest.param(Cell("executorch", "fp32", "fpn", True), marks=pytest.mark.long),  # the snippets' test runs one too
    Cell("ncnn", "fp32", "fpn", False),
    Cell("litert", "int8", "fpn", True),
]


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    return {kind: build(kind, BACKBONE) for kind in NETWORKS}


def _card(cell: Cell) -> Card:
    geometry = {"size": 64, "fixed": cell.fixed}
    return Card(LABELS.to_dict(), geometry, "fp32", "fpn" if cell.network == "fpn" else "m2fp")


@pytest.mark.parametrize("cell", WORKING, ids=str)
def test_supported_cells_agree_with_pytorch(cell: Cell, networks: dict[str, nn.Module], tmp_path: Path) -> None:
    assert refusal(cell) is None
    if cell.format in CONVERTERS:
        pytest.importorskip(CONVERTERS[cell.format][0], reason="the converter is not installed")
    assert check(cell, networks[cell.network], tmp_path, 64).within(weights_of(cell))


def test_ncnn_makes_the_sizes_of_a_scaled_student_constants(tmp_path: Path) -> None:
    cell = Cell("ncnn", "fp32", "fpn", False)
    with pytest.raises(Unsupported, match="sizes of a scaled student constants; export it with a fixed size"):
        make(cell, build("fpn", BACKBONE, scale=0.75), tmp_path, _card(cell), [])
    assert not list(tmp_path.rglob("model.*"))


@pytest.mark.parametrize(
    "cell", [Cell("ncnn", "fp32", "fpn", True), Cell("torchscript", "int8", "fpn", False)], ids=str
)
def test_scaled_students_agree_with_pytorch(cell: Cell, tmp_path: Path) -> None:
    if cell.format in CONVERTERS:
        pytest.importorskip(CONVERTERS[cell.format][0], reason="the converter is not installed")
    assert check(cell, build("fpn", BACKBONE, scale=0.75), tmp_path, 128).within(weights_of(cell))


def test_fp16_weights_have_a_limit_of_their_own() -> None:
    found = Agreement(0.9994, 0.0011)
    assert found.within(weights_of(Cell("ncnn", "fp32", "fpn", False)))
    assert not found.within(weights_of(Cell("onnx", "fp32", "fpn", False)))


@pytest.mark.long
def test_int8_of_dynamic_size_is_compiled_for_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled once for all sizes, 18 % of this network's masks were wrong in OpenVINO on CPUs with AMX."""
    dynamic: list[bool] = []
    compile_model = openvino._compile

    def watched(model: Any, *how: Any) -> Any:
        dynamic.append(model.is_dynamic())
        return compile_model(model, *how)

    monkeypatch.setattr(openvino, "_compile", watched)
    cell = Cell("onnx", "int8", "m2fp", False)
    found = check(cell, build("m2fp", "shufflenetv2"), tmp_path, size=64)
    assert found.within("int8"), str(found)
    engine = open_engine(tmp_path / "onnx" / "int8" / "model.onnx", "openvino", outputs=["mask_logits"])
    assert engine.max_batch == 1
    for height, width in ((64, 64), (96, 64)):
        masks = engine(noise(1, height, width, 0))["mask_logits"]
        assert masks.shape[2:] == (height // 4, width // 4)
    assert dynamic == [False] * 5


@pytest.mark.parametrize("cell", [cell for cell in cells() if refusal(cell)], ids=str)
def test_unsupported_cells_are_refused_with_the_reason(
    cell: Cell, networks: dict[str, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(Unsupported) as refused:
        make(cell, networks[cell.network], tmp_path, _card(cell), [noise(1, 64, 64, 0)])
    assert str(refusal(cell)) in str(refused.value)
    assert not list(tmp_path.rglob("model.*"))


def test_every_network_has_a_supported_cell_in_both_precisions() -> None:
    table = list(cells())
    assert len(table) == len(set(table)) == len(ARTEFACT_FORMATS) * len(PRECISIONS) * len(NETWORKS) * 2
    for precision in PRECISIONS:
        for network in NETWORKS:
            open_ways = [cell for cell in table if (cell.precision, cell.network) == (precision, network)]
            assert any(refusal(cell) is None for cell in open_ways)
    with pytest.raises(Unsupported, match=r"^torchscript int8, m2fp, fixed size: FX graph mode"):
        require(Cell("torchscript", "int8", "m2fp", True))


@pytest.mark.parametrize("kind", ["m2fp", "teacher"])
def test_fx_cannot_trace_a_transformer_decoder(
    kind: str, networks: dict[str, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fx, "require", lambda cell: None)
    cell = Cell("torchscript", "int8", kind, True)
    with pytest.raises(TraceError):
        make(cell, networks[kind], tmp_path, _card(cell), [noise(1, 64, 64, 0)])


def test_the_onnx_exporter_makes_sizes_of_m2fp_constants(
    networks: dict[str, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "require", lambda cell: None)
    monkeypatch.setattr(export, "M2FPAsStudent", type(None))  # export it like a student
    cell = Cell("onnx", "fp32", "teacher", False)
    engine = open_engine(make(cell, networks["teacher"], tmp_path, _card(cell), []), "onnxruntime", threads=1)
    traced = example_canvases(Geometry(64, fixed=False)).numpy()
    assert engine(traced)["part_map"].shape == traced.shape[:3]
    with pytest.raises(Fail, match="Attempting to broadcast"):
        engine(noise(2, 96, 128, 0))
