"""Measure the time of the parts of a training step: data, teacher, student, loss, backward pass, optimiser.

    python -m benchmarks.training_step                                        # the sample with its cached teacher
    python -m benchmarks.training_step experiment=ppp data.root=DIR teacher=live teacher.checkpoint=FILE

Arguments are the overrides of `m2fp-kd train`; the network starts untrained. Times are medians over the steps, in ms
per photo, of one process that runs the parts one after the other. With data workers (`data.module.workers`), loading
overlaps with the other parts. On a GPU the script synchronises after each part.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch

from benchmarks.prepared import composed, prepared
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.distill.training.allocator import keep_freed_memory
from m2fp_kd.distill.training.module import Distillation

WARM_UP, STEPS = 3, 12


def main(overrides: list[str]) -> None:
    """Run the steps and print the table."""
    cfg = composed(overrides)
    device = torch.device("cuda" if cfg.trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()  # as in training
    module, datamodule = prepared(cfg)
    times = run_steps(module.to(device), datamodule, cfg.trainer.precision)
    size = cfg.data.module.batch_size
    photo = {part: 1000 * median(seconds[WARM_UP:]) / size for part, seconds in times.items()}
    whole = sum(photo.values())
    print(
        f"{cfg.student.name} on {cfg.backbone.name}, {cfg.data.size} pixels, batches of {size}, "
        f"teacher {cfg.teacher.mode}, "
        f"{device}, {torch.get_num_threads()} threads, {cfg.trainer.precision}: {1000 / whole:.1f} photos/s"
    )
    print("| part of a step | ms per photo | share |\n|---|---|---|")
    for part, ms in photo.items():
        print(f"| {part} | {ms:.2f} | {ms / whole:.0%} |")


def run_steps(
    module: Distillation, datamodule: ParsingDataModule, precision: str, steps: int = STEPS
) -> dict[str, list[float]]:
    """Return the seconds of every part of every step, warm-up included, parts in order of execution.

    Args:
        module: on the device that runs the steps.
        datamodule: ready for training batches; its epochs are repeated.
        precision: "bf16-mixed", or any other for float32.
        steps: number of steps after the warm-up.
    """
    device = module.device
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    times: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize()
        times[part].append(time.perf_counter() - start)

    batches = iter(datamodule.train_dataloader())
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
    for _ in range(WARM_UP + steps):
        with timed("data"):
            if (batch := next(batches, None)) is None:
                batches = iter(datamodule.train_dataloader())
                batch = next(batches)
            batch = datamodule.transfer_batch_to_device(batch, device, 0)
        with bf16:
            with timed("teacher's target"):
                target = module.teacher(batch) if module.teacher is not None else None
            with timed("forward"):
                output = module(batch["images"])
            with timed("loss"):
                loss, _ = module.objective(output, batch, target)
        with timed("backward"):
            loss.backward()
        with timed("optimiser"):
            optimizer.step()
            optimizer.zero_grad()
    return times


if __name__ == "__main__":
    main(sys.argv[1:])
