"""Where the time of a training step goes: data, teacher, student, loss, backward, optimiser.

    python benchmarks/training_step.py                                        # the sample, its cached teacher
    python benchmarks/training_step.py experiment=ppp data.root=DIR teacher=live teacher.checkpoint=FILE

Arguments are those of train.py; the network starts untrained. Times are medians over the steps, in ms a photo, of one
process that does one thing after the other; with data workers (`data.module.workers`) the data's share hides behind the
rest. On a GPU every part is waited for.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch
from omegaconf import DictConfig
from prepared import composed, prepared

WARM_UP, STEPS = 3, 12


def main(overrides: list[str]) -> None:
    """Take the steps and print the table."""
    cfg = composed(overrides)
    device = torch.device("cuda" if cfg.trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu")
    times = take_steps(cfg, device)
    size = cfg.data.module.batch_size
    photo = {part: 1000 * median(seconds[WARM_UP:]) / size for part, seconds in times.items()}
    whole = sum(photo.values())
    print(
        f"{cfg.student.name} on {cfg.backbone.name}, {cfg.data.size} pixels, batches of {size}, "
        f"teacher {cfg.teacher.mode}, "
        f"{device}, {torch.get_num_threads()} threads, {cfg.trainer.precision}: {1000 / whole:.1f} photos/s"
    )
    print("| part of a step | ms a photo | share |\n|---|---|---|")
    for part, ms in photo.items():
        print(f"| {part} | {ms:.2f} | {ms / whole:.0%} |")


def take_steps(cfg: DictConfig, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every step by its parts, in their order."""
    module, datamodule = prepared(cfg)
    module.to(device)
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
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=cfg.trainer.precision == "bf16-mixed")
    for _ in range(WARM_UP + STEPS):
        with timed("data"):
            if (batch := next(batches, None)) is None:
                batches = iter(datamodule.train_dataloader())
                batch = next(batches)
            batch = datamodule.transfer_batch_to_device(batch, device, 0)
        with bf16:
            with timed("teacher's target"):
                target = module.teacher(batch) if module.teacher is not None else None
            with timed("student, forward"):
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
