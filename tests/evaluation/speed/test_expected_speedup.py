import pytest

from m2fp_kd.evaluation.speed.cpu import Cpu
from m2fp_kd.evaluation.speed.expected_speedup import expected_speedup


def _cpu(*features: str, architecture: str = "x86_64") -> Cpu:
    return Cpu("some", architecture, 2, features)


UNKNOWN = Cpu("some", "x86_64", 2, None)


def test_without_vnni_int8_gains_little() -> None:
    text = " ".join(expected_speedup(_cpu("AVX2")))
    assert "overflow" in text and "7 bits" in text and "at most 2.1 times as fast as fp32 here" in text
    assert "bf16 is not native" in text and "ten times slower" in text
    assert "no AVX2" not in text and "no AVX2" in " ".join(expected_speedup(_cpu()))


def test_with_vnni_and_bf16_both_are_native() -> None:
    text = " ".join(expected_speedup(_cpu("AVX2", "AVX-512 VNNI", "AMX BF16")))
    assert "INT8 is native (AVX-512 VNNI)" in text and "bf16 is native (AMX BF16)" in text
    assert "overflow" not in text and "emulating" not in text
    assert "with AMX" not in text
    assert "with AMX" in " ".join(expected_speedup(_cpu("AVX2", "AMX INT8")))


@pytest.mark.parametrize("features", [(), ("NEON", "dot product"), ("dot product", "I8MM", "BF16")])
def test_nothing_is_claimed_for_arm(features: tuple[str, ...]) -> None:
    lines = expected_speedup(_cpu(*features, architecture="aarch64"))
    assert len(lines) == 1 and "never measured on ARM" in lines[0]
    assert ("I8MM" in features) == ("INT8 matrix products" in lines[0])


def test_unknown_cpus_get_no_figures() -> None:
    assert "does not report" in expected_speedup(UNKNOWN)[0]
    assert "never measured" in expected_speedup(Cpu("some", "riscv64", 4, None))[0]
