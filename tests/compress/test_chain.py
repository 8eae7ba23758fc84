from pathlib import Path

import pytest
from colour_student import canvases

from m2fp_kd.compress.chain import FP32_HOP, INT8_HOP, compress_student
from m2fp_kd.compress.export import graph_sha256
from m2fp_kd.compress.parity import Gate, ParityError
from m2fp_kd.runtime.artefact import load_card

GATES = {"fp32": Gate(0.999, 0.1), "int8": Gate(0.97, 0.5)}


def test_student_becomes_two_artefacts_that_pass_their_gates(student, card, photos, tmp_path: Path) -> None:
    result = compress_student(student, tmp_path, card, canvases(range(20)), photos, GATES, threads=1)
    result.raise_failed()
    assert result.paths == {name: tmp_path / name / "model.onnx" for name in ("fp32", "int8")}
    assert [parity.hop for parity in result.parities] == [FP32_HOP, INT8_HOP]
    fp32, int8 = (load_card(path) for path in result.paths.values())
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert (fp32.arithmetic, int8.arithmetic) == ("f32", "f32")
    assert int8.parents == {"fp32 graph": graph_sha256(result.paths["fp32"])}
    assert fp32.sizes["parameters"] == sum(weight.numel() for weight in student.parameters())
    assert {"torch", "onnx"} <= set(fp32.versions) < set(int8.versions)
    for card_, parity in zip((fp32, int8), result.parities, strict=True):
        assert card_.parity[parity.hop]["pixel_agreement"] == parity.pixel_agreement
        assert card_.parity[parity.hop]["passed"]


def test_a_failed_gate_raises_only_after_everything_is_saved(student, card, photos, tmp_path: Path) -> None:
    unreachable = GATES | {"int8": Gate(0.97, -100.0)}
    result = compress_student(student, tmp_path, card, canvases(range(4)), photos, unreachable, threads=1)
    assert all(path.is_file() for path in result.paths.values())
    assert load_card(result.paths["int8"]).parity[INT8_HOP]["passed"] is False
    with pytest.raises(ParityError, match=INT8_HOP):
        result.raise_failed()
