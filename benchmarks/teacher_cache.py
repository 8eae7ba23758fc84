"""Measure the cost and the fidelity of the teacher cache.

    python -m benchmarks.teacher_cache                           # epoch time with cached targets against labels only
    python -m benchmarks.teacher_cache --teacher teacher.json    # also fidelity of cached targets to the live teacher

Epochs alternate in one process, so that the ratio is valid even if the machine's speed drifts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from scipy.special import softmax

from benchmarks.prepared import ROOT, composed, prepared
from m2fp_kd.data.teacher_cache import TeacherCache, cache_key
from m2fp_kd.distill.teachers.filling import fill_cache
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.pipeline.assemble.part_models import load_part_models
from m2fp_kd.pipeline.assemble.teacher import teacher_card
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import read_photo

TEMPERATURE = 4


def sample(*overrides: str) -> DictConfig:
    """Return the project's configuration for the embedded sample, independent of the working directory."""
    return composed([f"data.root={ROOT / 'data' / 'sample'}", *overrides])


def epoch(cfg: DictConfig) -> Callable[[], float]:
    """Return a function that trains one epoch and returns its seconds."""
    module, datamodule = prepared(cfg)
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)

    def run() -> float:
        start = time.perf_counter()
        for batch in datamodule.train_dataloader():
            target = module.teacher(batch) if module.teacher is not None else None
            with torch.autocast("cpu", torch.bfloat16, enabled=cfg.trainer.precision == "bf16-mixed"):
                loss, _ = module.objective(module(batch["images"]), batch, target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return time.perf_counter() - start

    return run


def time_epochs(rounds: int, limit: int) -> None:
    """Print the ratio of the time of an epoch with cached targets to that of one with labels only."""
    cache = f"teacher.cache={ROOT / 'data' / 'sample' / 'teacher'}"
    size = f"data.module.limit={limit}"
    runs = {
        "labels": epoch(sample(size, "teacher=none", "distill=labels")),
        "cached": epoch(sample(size, cache)),
    }
    for run in runs.values():
        run()  # warm-up
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run())
    ratios = np.divide(seconds["cached"], seconds["labels"])
    for name, values in seconds.items():
        ms = 1000 * np.median(values) / limit
        print(f"{name:>7}: {ms:6.1f} ms per photo (median of {rounds} epochs, {limit} photos)")
    print(f"cached / labels: {np.median(ratios):.3f} (from {ratios.min():.3f} to {ratios.max():.3f})")


def compare_with_live(teacher_file: Path, photos: int) -> None:
    """Print size, total variation and argmax agreement of cached targets against the live teacher."""
    cfg = sample("teacher=cached", f"teacher.checkpoint={teacher_file}")
    datamodule = instantiate(cfg.data.module)
    teacher = WholePhotoTeacher(load_part_models(cfg, datamodule.labels), datamodule.geometry)
    card = teacher_card(teacher)
    records = datamodule.records[:photos]
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache(folder, cache_key(str(card.sha256), datamodule.geometry, teacher.geometry))
        fill_cache(cache, teacher, records)
        variations, agreements = [], []
        for record in records:
            photo = read_photo(record.image)
            live = teacher.log_parts(photo)
            cached, _ = cache.read(record.name, file_sha256(record.image))
            difference = softmax(live / TEMPERATURE, axis=1) - softmax(cached / TEMPERATURE, axis=1)
            variations.append(np.abs(difference).sum(axis=1).mean() / 2)
            agreements.append((live.argmax(axis=1) == cached.argmax(axis=1)).mean())
        size = cache.path.stat().st_size / len(records)
    print(
        f"{len(records)} photos of {cfg.data.size} x {cfg.data.size}, both orientations: {size / 1000:.1f} kB per "
        f"photo, total variation at T = {TEMPERATURE} {np.mean(variations):.4f} (worst {max(variations):.4f}), "
        f"argmax equal on {100 * np.mean(agreements):.3f} % of cells"
    )


def main() -> None:
    """Time the epochs and, with --teacher, compare the cache with the live network."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--teacher", type=Path, help="teacher's .json, to compare its cache with the live network")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--photos", type=int, default=160, help="photos per epoch, and photos compared")
    options = command.parse_args()
    time_epochs(options.rounds, options.photos)
    if options.teacher:
        compare_with_live(options.teacher, options.photos)


if __name__ == "__main__":
    main()
