"""Describe this machine's CPU and its instructions for INT8 and bf16."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from m2fp_kd.runtime.cores import usable_cores

# Our name -> the kernel's flag in /proc/cpuinfo: "flags" on x86, "Features" on ARM.
X86_FEATURES = {
    "AVX2": "avx2",
    "AVX-512": "avx512f",
    "AVX-VNNI": "avx_vnni",
    "AVX-512 VNNI": "avx512_vnni",
    "AVX-512 BF16": "avx512_bf16",
    "AMX INT8": "amx_int8",
    "AMX BF16": "amx_bf16",
}
ARM_FEATURES = {"NEON": "asimd", "dot product": "asimddp", "I8MM": "i8mm", "BF16": "bf16", "SVE": "sve"}


@dataclass(frozen=True)
class Cpu:
    """A CPU.

    Attributes:
        model: vendor's model name, or the architecture if the system does not report one.
        architecture: ``x86_64``, ``aarch64``, ...
        cores: number of logical cores that this process may use.
        features: names from X86_FEATURES or ARM_FEATURES; None if the system does not report them.
    """

    model: str
    architecture: str
    cores: int
    features: tuple[str, ...] | None


def describe_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Cpu:
    """Describe this machine's CPU; without ``/proc/cpuinfo`` use what Python's ``platform`` reports."""
    architecture = platform.machine()
    cores = usable_cores()
    fallback = platform.processor() or architecture
    if not cpuinfo.is_file():
        return Cpu(fallback, architecture, cores, None)
    model, features = parse_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    return Cpu(model or fallback, architecture, cores, features)


def parse_cpuinfo(text: str) -> tuple[str | None, tuple[str, ...] | None]:
    """Return model name and features of the first core; each is None if not listed (most ARM list no model name)."""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    if flags is None:
        return (model and model[1].strip()), None
    known = X86_FEATURES if flags[1] == "flags" else ARM_FEATURES
    present = set(flags[2].split())
    return (model and model[1].strip()), tuple(name for name, flag in known.items() if flag in present)


def cpu_precision() -> str:
    """Return Lightning's precision for training on this CPU: bfloat16 if it is faster there.

    AMX, and AMD's AVX-512 BF16, halve the time of a step. On an Intel CPU that offers AVX-512 BF16 without AMX, as
    virtual machines do, a step takes twice as long as in float32.
    """
    cpu = describe_cpu()
    fast = {"AMX BF16", "AVX-512 BF16"} if "AMD" in cpu.model else {"AMX BF16"}
    return "bf16-mixed" if fast & set(cpu.features or ()) else "32-true"
