"""Compare the time in which a training loads an epoch from tar shards with that from files.

    python -m benchmarks.shards data.root=DIR                                # photos in M2FP's layout, data=own
    python -m benchmarks.shards data=pascal_person_part data.root=DIR --megabytes 10

The shards are packed into a temporary folder. Each batch from files is followed by one from shards, and the next pair
has the other order, so that other work on the machine slows both; loading runs in this process. Files and shards come
from the system's memory: the files were checked just before, the shards were written.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra.utils import instantiate

from benchmarks.prepared import composed
from m2fp_kd.command import number
from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.evaluation.speed.cpu import describe_cpu
from m2fp_kd.labels import load_label_set

ROUNDS = 2


def main() -> None:
    """Print the seconds of an epoch from both, and their ratio."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("overrides", nargs="*", help="overrides of m2fp-kd train, for the files")
    command.add_argument("--megabytes", type=number(), default=100.0, help="size of a shard; default: %(default)g")
    options = command.parse_args()
    files = composed(["data=own", *options.overrides])
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(Path(files.data.root), options.megabytes)
        make(planned, Path(folder) / "set", load_label_set(files.data.labels))
        sizes = [f"data.{name}={files.data[name]}" for name in ("labels", "size", "batch_size")]
        urls = [f"data.urls={folder}/set/train-*.tar", f"data.val_urls={folder}/set/val-*.tar"]
        shards = composed(["data=shards", *sizes, *urls, f"data.unpack_to={folder}/val"])
        loaders = [instantiate(cfg.data.module).train_dataloader() for cfg in (files, shards)]
        rounds = [epoch(loaders, turn) for turn in range(ROUNDS)]
    photos = len(loaders[0].sampler)
    print(f"{photos} photos, {files.data.size} pixels, {len(planned.shards)} shards, {describe_cpu()}, 1 thread")
    print("| epoch | files [s] | shards [s] | ratio | ratio of CPU time |\n|---|---|---|---|---|")
    for turn, (wall, cpu) in enumerate(rounds, 1):
        print(f"| {turn} | {wall[0]:.2f} | {wall[1]:.2f} | {wall[1] / wall[0]:.3f} | {cpu[1] / cpu[0]:.3f} |")
    wall_ratio = median(wall[1] / wall[0] for wall, _ in rounds)
    print(f"median ratio {wall_ratio:.3f}, of CPU time {median(cpu[1] / cpu[0] for _, cpu in rounds):.3f}")


def epoch(loaders: list[Any], number: int) -> tuple[list[float], list[float]]:
    """Return the wall seconds and the CPU seconds of an epoch of both loaders."""
    for loader in loaders:
        loader.sampler.set_epoch(number)
    batches: list[Iterator[Any]] = [iter(loader) for loader in loaders]
    wall, cpu = [0.0, 0.0], [0.0, 0.0]
    for step in range(min(map(len, loaders))):
        for side in (0, 1) if step % 2 else (1, 0):
            begin, cpu_begin = time.perf_counter(), time.process_time()
            next(batches[side])
            wall[side] += time.perf_counter() - begin
            cpu[side] += time.process_time() - cpu_begin
    return wall, cpu


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
