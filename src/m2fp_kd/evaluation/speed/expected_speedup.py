"""What to expect of INT8 and bf16 on a CPU, said before anything is measured.

Facts are those of the instruction sets (Intel Architecture Instruction Set Extensions Reference; Rodriguez et al. 2018,
"Lower Numerical Precision Deep Learning Inference and Training"); what was measured says so, and where. ARM was never
run.
"""

from m2fp_kd.evaluation.speed.cpu import Cpu

INT8_PRODUCTS = ("AVX-VNNI", "AVX-512 VNNI", "AMX INT8", "dot product", "I8MM")
"""Features that add the products of 8-bit numbers in 32 bits; the last two are ARM's."""

BF16_PRODUCTS = ("AVX-512 BF16", "AMX BF16")

X86 = ("x86_64", "AMD64", "i686")
ARM = ("aarch64", "arm64")


def reduced_range(cpu: Cpu) -> bool:
    """Whether INT8 should use seven of its eight bits on this CPU, as those without 8-bit dot products need.

    x86 without them adds products of unsigned activations with signed weights in pairs in 16 bits, and 2 x 255 x 127 is
    more than the 32767 that fit. A CPU of which nothing is known counts as one of these: a bit less costs little, an
    overflow much.
    """
    return not _has(cpu, INT8_PRODUCTS)


def expected_speedup(cpu: Cpu, engine: str | None = None) -> list[str]:
    """Plain statements about INT8 and bf16 on a CPU, most important first.

    Args:
        cpu: from `describe_cpu`.
        engine: one of `runtime.engines.ENGINES`; None for what holds in all.
    """
    if cpu.architecture in ARM:
        return _arm(cpu)
    if cpu.architecture not in X86:
        return [f"{cpu.architecture}: nothing is known of INT8 and bf16 here; unmeasured"]
    if cpu.features is None:
        return [
            "the system does not tell what this CPU can do: INT8 is kept in the reduced range, its speed is unknown",
            "f32 is the safe arithmetic",
        ]
    return [*_int8(cpu, engine), *_bf16(cpu, engine)]


def _int8(cpu: Cpu, engine: str | None) -> list[str]:
    if found := _has(cpu, INT8_PRODUCTS):
        lines = [f"INT8 is native ({', '.join(found)}): products are added in 32 bits, the full range is safe"]
        if "AMX INT8" in found:
            lines.append(
                "with AMX, OpenVINO's INT8 was 2.0 times as fast as f32 on a MobileNetV3 student, 6.9 on a ResNet-18 "
                "one, 2.3 to 3.1 on an M2FP (measured)"
            )
    else:
        lines = [
            "no VNNI, AVX-VNNI or AMX: pairs of INT8 products are added in 16 bits, which overflow at the full range, "
            "so the reduced range is used",
            "INT8 can be 2.1 times as fast as fp32 here at most: in OpenVINO a MobileNetV3 student gained 1.3 times, a "
            "ResNet-18 one 1.9, an M2FP 1.2 (measured)",
        ]
        if "AVX2" not in (cpu.features or ()):
            lines.append("no AVX2: INT8 is expected to be slower than fp32; unmeasured")
    if engine == "onnxruntime":
        lines.append(
            "ONNX Runtime's INT8 can be slower than its fp32: 56 to 30 ms with VNNI and 50 to 39 ms without it were "
            "measured (MobileNetV3)"
        )
    return lines


def _bf16(cpu: Cpu, engine: str | None) -> list[str]:
    if engine not in (None, "openvino"):
        return [f"{engine} computes in f32 here, whatever the CPU has"]
    if found := _has(cpu, BF16_PRODUCTS):
        return [
            f"bf16 is native ({', '.join(found)}): OpenVINO chooses it where precision is auto, 1.4 to 5 times as "
            "fast as f32 (measured); answers differ slightly, so it is checked as a hop of its own"
        ]
    return ["bf16 is not native: emulated it would be about ten times slower than f32, so f32 is used"]


def _arm(cpu: Cpu) -> list[str]:
    names = {"dot product": "INT8 dot products", "I8MM": "INT8 matrix products", "BF16": "bf16"}
    found = [words for feature, words in names.items() if feature in (cpu.features or ())]
    has = f"has {', '.join(found)}" if found else "has no INT8 or bf16 instructions that are known here"
    return [f"ARM, {has}; unmeasured: nothing is claimed for INT8 or bf16 on ARM"]


def _has(cpu: Cpu, features: tuple[str, ...]) -> list[str]:
    return [feature for feature in features if feature in (cpu.features or ())]
