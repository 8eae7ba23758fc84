"""Estimate hours and bytes of large jobs from the costs of a photo.

    python benchmarks/scale_on_paper.py

Each job needs CPU seconds, GPU work and bytes for a photo. On a cluster the slowest of the three decides. The CPU costs
were measured (docs/notes/speed.md, docs/guides/teacher.md); the GPU's share of its peak is an assumption, as are disks
and networks. A GPU machine has 16 cores for each GPU.
"""

import argparse
from dataclasses import dataclass

from m2fp_kd.evaluation.report.tables import as_markdown

GPU_FLOPS = 0.3 * 989e12
"""Assumed: 30 % of an H200's dense bf16 peak."""
CORES_PER_GPU = 16
DISK = 2e9
"""Assumed: bytes a second that a machine with 16 cores reads from a parallel file system."""


MACHINES = (
    ("16 cores", 0, 16), ("1,000 cores", 0, 1000), ("1 GPU", 1, 0), ("8 GPUs", 8, 0), ("64 GPUs", 64, 0),
)  # fmt: skip
"""Column, GPUs, and cores without GPUs."""


@dataclass(frozen=True)
class Job:
    """Work of a job on each photo.

    Attributes:
        name: what it does.
        photos: number of photos, each counted as often as it is read.
        cpu: CPU seconds a photo without a GPU.
        host: CPU seconds a photo beside a GPU.
        flop: floating-point operations a photo.
        read: bytes read a photo.
        written: bytes written a photo.
        splits: whether it splits over many machines, as independent photos do and the batches of a training do not.
    """

    name: str
    photos: float
    cpu: float
    host: float
    flop: float
    read: float
    written: float = 0.0
    splits: bool = True


JOBS = (
    Job("cache of 10 million photos, M2FP ResNet-101", 10e6, 3.12 + 0.1, 0.004 + 0.1, 2 * 177e9, 60e3, 8.1e3),
    Job("cache of 10 million photos, the demo in fp32", 10e6, 0.081 + 0.1, 0.004 + 0.1, 2 * 6.8e9, 60e3, 8.1e3),
    Job("student on CIHP, 28,280 photos, 60 epochs at 512 px", 28_280 * 60, 0.22, 0.012, 3 * 4.8e9, 68e3, splits=False),
    Job("parts of 100 million photos of 500 px", 100e6, 0.0235, 0.008, 6.8e9, 60e3, 3e3),
    Job("parts of 100 million photos of 12 megapixels", 100e6, 0.102, 0.095, 6.8e9, 4e6, 40e3),
)


def hours(job: Job, gpus: int, cores: int) -> tuple[float, str]:
    """Return the hours of a job on GPUs, or on cores alone, and what it waits for."""
    machines = max(1, (gpus * CORES_PER_GPU if gpus else cores) / CORES_PER_GPU)
    times = {"disk": job.photos * (job.read + job.written) / (DISK * machines)}
    if gpus:
        times["GPU"] = job.photos * job.flop / (GPU_FLOPS * gpus)
        times["CPU"] = job.photos * job.host / (CORES_PER_GPU * gpus)
    else:
        times["CPU"] = job.photos * job.cpu / cores
    slowest = max(times, key=lambda name: times[name])
    return times[slowest] / 3600, slowest


def rows() -> list[dict[str, str]]:
    """Return a row for each job."""
    found = []
    for job in JOBS:
        row = {"job": job.name, "read": _bytes(job.photos * job.read), "written": _bytes(job.photos * job.written)}
        for column, gpus, cores in MACHINES:
            time, slowest = hours(job, gpus, cores)
            alone = job.splits or max(gpus, cores / CORES_PER_GPU) <= 8
            row[column] = (
                f"{time:,.0f} h, {slowest}" if alone and time >= 10 else f"{time:.2g} h, {slowest}" if alone else "–"
            )
        found.append(row)
    return found


def _bytes(count: float) -> str:
    return "–" if not count else f"{count / 1e12:.0f} TB" if count >= 1e12 else f"{count / 1e9:.0f} GB"


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(as_markdown(rows()))


if __name__ == "__main__":
    main()
