from dataclasses import dataclass
from typing import ClassVar

import pytest

from m2fp_kd.compress.artefact_steps import Export, OpenVINO, StaticInt8
from m2fp_kd.compress.steps import ORDER, OrderError, check_order


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
def test_a_wrong_order_is_answered_with_the_right_one(names: tuple[str, ...], wrong: str, right: str) -> None:
    with pytest.raises(OrderError) as error:
        check_order(_steps(*names), ORDER)
    assert wrong in str(error.value) and right in str(error.value)


def test_something_must_be_exported() -> None:
    with pytest.raises(OrderError, match="nothing is exported"):
        check_order(_steps("prune"), ORDER)


def test_every_hop_needs_its_gate() -> None:
    with pytest.raises(OrderError, match="no gate for quantise"):
        check_order(_steps("export", "int8_static"), {"export", "prune"})


def test_two_artefacts_of_one_name_are_refused() -> None:
    with pytest.raises(OrderError, match="named 'int8'"):
        check_order(_steps("export", "int8_static") | {"again": StaticInt8()}, ORDER)


def test_a_conversion_needs_what_it_converts() -> None:
    with pytest.raises(OrderError, match="converts 'int8', which no step before it makes"):
        check_order(_steps("export") | {"openvino_int8": OpenVINO()}, ORDER)
    check_order(_steps("export", "int8_static") | {"openvino_int8": OpenVINO()}, ORDER)
