"""Predict the speed-up from INT8 and bf16 on a CPU before anything is measured.

Statements follow the instruction sets (Intel Architecture Instruction Set Extensions Reference; Rodriguez et al. 2018,
"Lower Numerical Precision Deep Learning Inference and Training"); measured ones are marked as such. Nothing was
measured on ARM.
"""

from m2fp_kd.evaluation.speed.cpu import Cpu

INT8_PRODUCTS = ("AVX-VNNI", "AVX-512 VNNI", "AMX INT8", "dot product", "I8MM")
"""Features that accumulate products of 8-bit integers in 32 bits; the last two are ARM's."""

BF16_PRODUCTS = ("AVX-512 BF16", "AMX BF16")

X86 = ("x86_64", "AMD64", "i686")
ARM = ("aarch64", "arm64")


def expected_speedup(cpu: Cpu) -> list[str]:
    """Return statements about INT8 and bf16 on a CPU, most important first."""
    if cpu.architecture in ARM:
        return _arm(cpu)
    if cpu.architecture not in X86:
        return [f"{cpu.architecture}: INT8 and bf16 were never measured on this architecture"]
    if cpu.features is None:
        return [
            "the system does not report the CPU's features: the speed of INT8 is unknown",
            "f32 is the safe precision",
        ]
    return [*_int8(cpu), *_bf16(cpu)]


def _int8(cpu: Cpu) -> list[str]:
    if found := _has(cpu, INT8_PRODUCTS):
        lines = [f"INT8 is native ({', '.join(found)}): products accumulate in 32 bits"]
        if "AMX INT8" in found:
            lines.append(
                "with AMX, INT8 in OpenVINO was 2.0 times as fast as f32 for a MobileNetV3 student, 6.9 times for a "
                "ResNet-18 student and 2.3 to 3.1 times for M2FP (measured)"
            )
    else:
        lines = [
            "no VNNI, AVX-VNNI or AMX: pairs of INT8 products are added in 16 bits; weights or activations of 7 bits, "
            "which INT8 files have, keep the sums from overflowing",
            "INT8 can be at most 2.1 times as fast as fp32 here: in OpenVINO it was 1.3 times as fast for a "
            "MobileNetV3 student, 1.9 times for a ResNet-18 student and 1.2 times for M2FP (measured)",
        ]
        if "AVX2" not in (cpu.features or ()):
            lines.append("no AVX2: INT8 is expected to be slower than fp32 (not measured)")
    return lines


def _bf16(cpu: Cpu) -> list[str]:
    if found := _has(cpu, BF16_PRODUCTS):
        return [
            f"bf16 is native ({', '.join(found)}): with precision=auto OpenVINO chooses it, 1.4 to 5 times as fast as "
            "f32 (measured); results differ slightly, so it is checked as a hop of its own"
        ]
    return ["bf16 is not native: emulating it would be about ten times slower than f32, so f32 is used"]


def _arm(cpu: Cpu) -> list[str]:
    names = {"dot product": "INT8 dot products", "I8MM": "INT8 matrix products", "BF16": "bf16"}
    found = [name for feature, name in names.items() if feature in (cpu.features or ())]
    has = f"with {', '.join(found)}" if found else "without known INT8 or bf16 instructions"
    return [f"ARM {has}: INT8 and bf16 were never measured on ARM"]


def _has(cpu: Cpu, features: tuple[str, ...]) -> list[str]:
    return [feature for feature in features if feature in (cpu.features or ())]
