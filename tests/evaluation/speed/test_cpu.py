import os
from pathlib import Path

import pytest

from m2fp_kd.evaluation.speed.cpu import Cpu, cpu_precision, describe_cpu, parse_cpuinfo

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512_vnni amx_tile
"""
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd asimddp sve i8mm bf16
CPU implementer\t: 0x41
"""


def test_x86_has_a_model_name_and_features() -> None:
    assert parse_cpuinfo(X86) == ("AMD EPYC 9R14", ("AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16"))


def test_arm_has_features_but_no_model_name() -> None:
    assert parse_cpuinfo(ARM) == (None, ("NEON", "dot product", "I8MM", "BF16", "SVE"))


def test_amx_int8_and_bf16_are_separate_features() -> None:
    assert parse_cpuinfo("flags : amx_int8 amx_bf16")[1] == ("AMX INT8", "AMX BF16")


def test_unreported_features_are_none_not_empty() -> None:
    assert parse_cpuinfo("model name : Something\n") == ("Something", None)


def test_without_cpuinfo_the_features_are_unknown(tmp_path: Path) -> None:
    cpu = describe_cpu(tmp_path / "absent")
    assert cpu.features is None
    assert cpu.model
    assert 1 <= cpu.cores <= (os.cpu_count() or 1)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="not Linux")
def test_this_machine_reports_features() -> None:
    assert describe_cpu().features is not None


@pytest.mark.parametrize(
    ("model", "features", "precision"),
    [
        ("AMD EPYC 9R14", ("AVX-512", "AVX-512 BF16"), "bf16-mixed"),
        ("Intel(R) Xeon(R) Processor", ("AVX-512", "AVX-512 BF16"), "32-true"),
        ("Intel(R) Xeon(R) Processor", ("AVX-512 BF16", "AMX BF16"), "bf16-mixed"),
        ("AMD EPYC 7763", ("AVX2",), "32-true"),
        ("aarch64", None, "32-true"),
    ],
)
def test_a_cpu_trains_in_bfloat16_where_that_is_faster(
    model: str, features: tuple[str, ...] | None, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m2fp_kd.evaluation.speed.cpu.describe_cpu", lambda: Cpu(model, "", 2, features))
    assert cpu_precision() == precision
