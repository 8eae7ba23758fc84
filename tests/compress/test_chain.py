import copy
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from m2fp_kd.compress.chain import make_artefacts
from m2fp_kd.compress.export.onnx import Export, export_onnx, write_artefact
from m2fp_kd.compress.int8.static import StaticInt8
from m2fp_kd.compress.options import CheckSettings, Gate
from m2fp_kd.compress.parity import ParityError
from m2fp_kd.compress.source import Source
from m2fp_kd.runtime.artefact import load_card, load_checks
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import canvases

GATES = {"export": Gate(0.999, 0.1), "quantise": Gate(0.97, 0.5)}


@pytest.fixture
def source(student, card, photos) -> Source:
    return Source(student, card, lambda count: iter(canvases(range(count))), photos)


def test_student_becomes_two_artefacts_that_pass_their_gates(source: Source, tmp_path: Path) -> None:
    result = make_artefacts(source, tmp_path, [Export(), StaticInt8(calibration_photos=20)], CheckSettings(GATES, 1))
    result.raise_failed()
    assert result.paths == {name: tmp_path / name / "model.onnx" for name in ("fp32", "int8")}
    assert [parity.hop for parity in result.parities] == ["PyTorch -> fp32", "fp32 -> int8"]
    fp32, int8 = (load_card(path) for path in result.paths.values())
    checks = [load_checks(path) for path in result.paths.values()]
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert [found.precision for found in checks] == ["f32", "f32"]
    assert int8.parents == {"fp32": file_sha256(result.paths["fp32"])}
    assert fp32.parameters == sum(weight.numel() for weight in source.student.parameters())
    assert {"torch", "onnx"} <= set(fp32.versions) < set(int8.versions)
    assert [found.parity for found in checks] == [(parity,) for parity in result.parities]
    assert all(parity.passed for parity in result.parities)


def test_a_failed_gate_raises_only_after_everything_is_saved(source: Source, tmp_path: Path) -> None:
    unreachable = GATES | {"quantise": Gate(1.0, 0.0)}
    result = make_artefacts(
        source, tmp_path, [Export(), StaticInt8(calibration_photos=4)], CheckSettings(unreachable, 1)
    )
    assert all(path.is_file() for path in result.paths.values())
    assert load_checks(result.paths["int8"]).parity[0].passed is False
    with pytest.raises(ParityError, match="fp32 -> int8"):
        result.raise_failed()


class _WrongNormalisation(Export):
    def __call__(self, source: Source, folder: Path) -> Path:
        student = copy.deepcopy(source.student)
        student.normalise.mean.mul_(0.3)
        return _exported(student, source, folder)


class _SwappedChannels(Export):
    def __call__(self, source: Source, folder: Path) -> Path:
        student = copy.deepcopy(source.student)
        student.classifier.weight.data = student.classifier.weight.data[[0, 2, 1, 3]]
        return _exported(student, source, folder)


def _exported(student: torch.nn.Module, source: Source, folder: Path) -> Path:
    export_onnx(student, folder / "model.onnx", source.card)
    return folder / "model.onnx"


@pytest.mark.parametrize("broken", [_WrongNormalisation, _SwappedChannels])
def test_a_broken_hop_is_caught(broken: type[Export], source: Source, tmp_path: Path) -> None:
    result = make_artefacts(source, tmp_path, [broken()], CheckSettings(GATES, 1))
    assert load_checks(result.paths["fp32"]).parity[0].passed is False
    with pytest.raises(ParityError, match="PyTorch -> fp32"):
        result.raise_failed()


class _WrongEnd(Export):
    """Break the part map, which our runtime does not use but other users do."""

    def __call__(self, source: Source, folder: Path) -> Path:
        path = super().__call__(source, folder)
        model = onnx.load(path)
        next(node for node in model.graph.node if node.op_type == "ArgMax").op_type = "ArgMin"
        write_artefact(model, path, source.card)
        return path


def test_a_part_map_that_differs_from_the_part_logits_is_an_error(source: Source, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"part_map and part_logits agree on \d"):
        make_artefacts(source, tmp_path, [_WrongEnd()], CheckSettings(GATES, 1))


class _NeverRun(Export):
    """A conversion that no engine here runs."""

    kind = "convert"
    runs = False

    def __call__(self, source: Source, folder: Path) -> Path:
        folder.mkdir()
        (folder / "model.never").touch()
        return folder / "model.never"


def test_another_precision_is_a_hop_of_its_own(source: Source, tmp_path: Path, monkeypatch) -> None:
    """Simulate bf16 on any CPU: an engine that reports bf16 and rounds as coarsely. What never runs is skipped."""
    load = Parser.load

    def load_bf16(path, engine=None, threads=None, precision="f32", keep=True):
        parser = load(path, engine, threads)
        if precision == "auto":
            run = parser.engine.run
            parser.engine = replace(parser.engine, precision="bf16", run=lambda images: run(images // 64 * 64))
        return parser

    monkeypatch.setattr(Parser, "load", load_bf16)
    steps = [Export(), _NeverRun(name="never")]
    result = make_artefacts(source, tmp_path, steps, CheckSettings(GATES | {"precision": Gate(1.0, 0.0)}, 1, "auto"))
    assert [parity.hop for parity in result.parities] == ["PyTorch -> fp32", "fp32 f32 -> fp32 bf16"]
    checks = load_checks(result.paths["fp32"])
    assert checks.precision == "f32" and checks.parity == tuple(result.parities)
    assert checks.parity[1].passed is False


def test_an_engine_that_chooses_f32_adds_no_hop(source: Source, tmp_path: Path) -> None:
    if Parser.load(Export()(source, tmp_path / "probe"), precision="auto").engine.precision != "f32":
        pytest.skip("this CPU computes in another precision")
    result = make_artefacts(source, tmp_path, [Export()], CheckSettings(GATES, 1, "auto"))
    assert len(result.parities) == 1
