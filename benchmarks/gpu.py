"""Measure training on a GPU, and check that it learns what a CPU learns.

    python -m benchmarks.gpu                                                      # the sample
    python -m benchmarks.gpu experiment=ppp data.root=DIR data.module.workers=8   # overrides of m2fp-kd train
    python -m benchmarks.gpu --device cpu --steps 2 data.size=96                  # without a GPU, to try the script

An untrained M2FP (`teacher.backbone`, ResNet-101 unless an override names another) teaches. The first line is the
filling of the cache: photos in a second, and the share of the time in which the network works. The table has a row for
the training of the teacher itself, and of the student from live and from cached targets, in bf16, compiled and not:
photos in a second, peak memory, and the parts of a step in ms per photo. The last line compares the student's gradients
of one batch in float32 on the GPU and on the CPU; the exit code is 1 where they differ by more than 1 %.
"""

import argparse
import copy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from benchmarks.prepared import composed, prepared
from benchmarks.training_step import WARM_UP, run_steps
from m2fp_kd.checkpoints.network import save_network
from m2fp_kd.command import whole_number
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.teacher_cache import TeacherCache
from m2fp_kd.distill.teachers.filling import fill_cache
from m2fp_kd.distill.teachers.whole_photo import PlacedPhoto, WholePhotoTeacher
from m2fp_kd.distill.training.module import Distillation
from m2fp_kd.evaluation.report.tables import as_markdown
from m2fp_kd.labels import load_label_set
from m2fp_kd.pipeline.assemble.module import build_module
from m2fp_kd.pipeline.assemble.part_models import load_part_models
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage

TOLERANCE = 0.01


class TimedTeacher(WholePhotoTeacher):
    """A teacher that adds up the seconds in which its networks work."""

    seconds = 0.0

    def answers(self, photos: Sequence[PlacedPhoto]) -> np.ndarray:
        """Answer as any teacher; the answers are on the CPU, so the GPU's work is done."""
        start = time.perf_counter()
        found = super().answers(photos)
        self.seconds += time.perf_counter() - start
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measurements and return the exit code."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("overrides", nargs="*", help="overrides of m2fp-kd train")
    command.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    command.add_argument("--steps", type=whole_number(1), default=30, help="of each training; default: %(default)s")
    command.add_argument("--photos", type=whole_number(1), default=256, help="of the cache; default: %(default)s")
    options = command.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        command.error("PyTorch finds no GPU here; --device cpu tries the script")
    device = torch.device(options.device)
    with TemporaryDirectory() as folder:
        common = [*options.overrides, f"trainer.accelerator={options.device}", f"data.module.limit={options.photos}"]
        weights = _untrained_teacher(composed([*common, "teacher=none"]), Path(folder))
        live = [*common, "teacher=live", f"teacher.checkpoint={weights}"]
        cached = [*common, "teacher=cached", f"teacher.checkpoint={weights}", f"teacher.cache={folder}/cache"]
        print(_filling(composed(cached), device, Path(folder) / "filled"), end="\n\n", flush=True)
        trained = {
            "teacher, labels": lambda: _teacher_training(composed([*common, "teacher=none"])),
            "student, live targets": lambda: prepared(composed(live)),
            "student, cached targets": lambda: prepared(composed(cached)),
        }
        rows = [
            {"training": name, "compiled": "yes" if compiled else "no"}
            | _training(*made(), device, options.steps, compiled)
            for name, made in trained.items()
            for compiled in (False, True)
        ]
        print(as_markdown(rows), end="\n\n", flush=True)
        difference = gradient_difference(*prepared(composed(cached)), device)
    print(f"gradients of a batch in float32 on {device} and on the CPU differ by {difference:.2g} of their norm")
    return 0 if difference <= TOLERANCE else 1


def gradient_difference(module: Distillation, datamodule: ParsingDataModule, device: torch.device) -> float:
    """Return the norm of the difference between the gradients of a batch on a device and on the CPU, relative to it."""
    batch = next(iter(datamodule.train_dataloader()))

    def gradients(where: torch.device) -> Tensor:
        own = copy.deepcopy(module).to(where)
        moved = datamodule.transfer_batch_to_device(batch, where, 0)
        target = own.teacher(moved) if own.teacher is not None else None
        own.objective(own(moved["images"]), moved, target)[0].backward()
        found = [weight.grad.flatten() for weight in own.student.parameters() if weight.grad is not None]
        return torch.cat(found).cpu()

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        here, there = gradients(torch.device("cpu")), gradients(device)
    return float((there - here).norm() / here.norm())


def _untrained_teacher(cfg: DictConfig, folder: Path) -> Path:
    """Save an untrained M2FP and return its file."""
    labels = load_label_set(cfg.teacher.labels)
    architecture = OmegaConf.to_container(cfg.teacher.network, resolve=True)
    network = instantiate(cfg.teacher.network)
    return save_network(
        folder / "teacher.json", network, labels, Geometry(cfg.data.size), architecture, Lineage("untrained", None)
    )


def _teacher_training(cfg: DictConfig) -> tuple[Distillation, ParsingDataModule]:
    datamodule = instantiate(cfg.data.module)
    network = instantiate(cfg.teacher.network)
    module = build_module(cfg, network, instantiate(cfg.teacher.terms), datamodule, teacher=None)
    datamodule.setup("fit")
    return module.train(), datamodule


def _training(
    module: Distillation, datamodule: ParsingDataModule, device: torch.device, steps: int, compiled: bool
) -> dict[str, str]:
    """Return photos in a second, peak memory and the ms per photo of each part of a step."""
    if compiled:
        module.student.compile()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = run_steps(module.to(device), datamodule, "bf16-mixed", steps)
    parts = {part: 1000 * median(each[WARM_UP:]) / datamodule.batch_size for part, each in times.items()}
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if device.type == "cuda" else "-"
    speed = {"photos/s": f"{1000 / sum(parts.values()):.1f}", "GPU memory, GB": memory}
    return speed | {f"{part}, ms": f"{ms:.2f}" for part, ms in parts.items()}


def _filling(cfg: DictConfig, device: torch.device, folder: Path) -> str:
    """Fill a cache and return photos in a second and the share of the time in which the network works, in words."""
    datamodule = instantiate(cfg.data.module)
    teacher = TimedTeacher(load_part_models(cfg, datamodule.labels), datamodule.geometry)
    teacher.to(device)
    start = time.perf_counter()
    made = fill_cache(TeacherCache(folder, "0" * 64), teacher, datamodule.records)
    seconds = time.perf_counter() - start
    return (
        f"filling the cache on {device}: {made / seconds:.1f} photos/s of both orientations, "
        f"{teacher.seconds / seconds:.0%} of the time in the network"
    )


if __name__ == "__main__":
    sys.exit(main())
