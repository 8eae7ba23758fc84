from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from m2fp_kd.compress import steps
from m2fp_kd.compress.export.capabilities import Unsupported
from m2fp_kd.compress.export.litert import LiteRT
from m2fp_kd.compress.export.onnx import Export
from m2fp_kd.compress.export.openvino import OpenVINO
from m2fp_kd.compress.export.torch_export import TorchExport
from m2fp_kd.compress.export.torchscript import TorchScript
from m2fp_kd.compress.int8.dynamic import DynamicInt8
from m2fp_kd.compress.int8.fx import FxInt8
from m2fp_kd.compress.int8.static import StaticInt8
from m2fp_kd.compress.steps import ORDER, OrderError, check_order, check_possible, gate_name
from m2fp_kd.labels import load_label_set

LABELS = load_label_set("cihp")
GATES = [*ORDER, "convert_int8", "precision"]


@dataclass(frozen=True)
class _Prune:
    kind: ClassVar[str] = "prune"


@dataclass(frozen=True)
class _Qat:
    kind: ClassVar[str] = "qat"


STEPS = {"prune": _Prune(), "qat": _Qat(), "export": Export(), "int8_static": StaticInt8()}


def _steps(*names: str) -> dict:
    return {name: STEPS[name] for name in names}


@pytest.mark.parametrize(
    "names",
    [("export",), ("export", "int8_static"), ("prune", "export", "int8_static"), ("prune", "qat", "export")],
)
def test_the_right_order_is_accepted(names: tuple[str, ...]) -> None:
    check_order(_steps(*names), ORDER)


@pytest.mark.parametrize(
    ("names", "wrong", "right"),
    [
        (("export", "int8_static", "prune"), "prune cannot come after int8_static", "[prune,export,int8_static]"),
        (("export", "prune"), "prune cannot come after export", "[prune,export]"),
        (("qat", "prune", "export"), "prune cannot come after qat", "[prune,qat,export]"),
        (("int8_static", "export"), "export cannot come after int8_static", "[export,int8_static]"),
    ],
)
def test_a_wrong_order_raises_with_the_right_one(names: tuple[str, ...], wrong: str, right: str) -> None:
    with pytest.raises(OrderError) as error:
        check_order(_steps(*names), ORDER)
    assert wrong in str(error.value) and right in str(error.value)


def test_something_must_be_exported() -> None:
    with pytest.raises(OrderError, match="export nothing"):
        check_order(_steps("prune"), ORDER)


def test_every_hop_needs_its_gate() -> None:
    with pytest.raises(OrderError, match="no gate for quantise"):
        check_order(_steps("export", "int8_static"), {"export", "prune"})


def test_two_artefacts_of_one_name_are_refused() -> None:
    with pytest.raises(OrderError, match="have the name 'int8'"):
        check_order(_steps("export", "int8_static") | {"again": StaticInt8()}, ORDER)


def test_a_conversion_needs_its_source() -> None:
    with pytest.raises(OrderError, match="converts 'int8', but no step before it makes that"):
        check_order(_steps("export") | {"openvino_int8": OpenVINO()}, GATES)
    check_order(_steps("export", "int8_static") | {"openvino_int8": OpenVINO()}, GATES)


@pytest.mark.parametrize("int8", [StaticInt8(), FxInt8(), DynamicInt8()])
def test_int8_is_made_from_the_onnx_export_and_no_other(int8) -> None:
    with pytest.raises(OrderError, match="int8 is made from the fp32 ONNX file: add `export` before it"):
        check_order({"torchscript": TorchScript(), "int8": int8}, GATES)


def test_only_onnx_is_converted() -> None:
    with pytest.raises(OrderError, match="openvino converts ONNX files, and 'torch_export' is another format"):
        steps = {
            "export": Export(),
            "torch_export": TorchExport(),
            "openvino": OpenVINO(made_from="torch_export", name="openvino"),
        }
        check_order(steps, GATES)


@pytest.mark.parametrize(
    ("step", "network", "message"),
    [
        (DynamicInt8(), "fpn", "int8_dynamic is for m2fp or teacher networks, and this one is fpn; use int8_static"),
        (FxInt8(), "m2fp", "FX graph mode does not trace a transformer decoder"),
    ],
)
def test_a_step_that_does_not_support_the_network_is_refused(step, network: str, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        check_possible([Export(), step], network, True, LABELS)
    check_possible([Export(), StaticInt8()], network, True, LABELS)


def test_a_missing_converter_is_named_with_all_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"litert needs litert_torch, which is not installed: .*litert") as error:
        check_possible([LiteRT()], "fpn", True, LABELS)
    requirements = Path(str(error.value).rpartition("pip install --no-deps -r ")[2])
    assert "litert-converter==" in requirements.read_text()


def test_a_conversion_of_int8_has_a_gate_of_its_own() -> None:
    fp32, int8 = OpenVINO(made_from="fp32", name="openvino"), OpenVINO(made_from="int8", name="openvino_int8")
    steps = {"export": Export(), "int8_static": StaticInt8(), "openvino": fp32, "openvino_int8": int8}
    assert [gate_name(step, steps.values()) for step in steps.values()] == [
        "export", "quantise", "convert", "convert_int8",
    ]  # fmt: skip
    with pytest.raises(OrderError, match="no gate for convert_int8"):
        check_order(steps, ORDER)
    check_order(steps, GATES)
