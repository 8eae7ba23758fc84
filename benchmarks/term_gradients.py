"""Measure the gradient norm of each term of an objective, before and during training.

    python -m benchmarks.term_gradients distill=best
    python -m benchmarks.term_gradients --steps 0,50 distill=features teacher=live teacher.checkpoint=FILE

The weights in conf/distill were chosen by these norms. Arguments are the overrides of `m2fp-kd train`.
"""

import argparse
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch

from benchmarks.prepared import composed, prepared
from m2fp_kd.distill.training.module import Distillation

Norms = dict[str, tuple[float, float]]


def term_norms(module: Distillation, batches: list[dict[str, Any]]) -> Norms:
    """Return for every term its value and the norm of its gradient over the student's parameters, mean over batches."""
    parameters = list(module.student.parameters())
    found: dict[str, list[tuple[float, float]]] = {}
    for batch in batches:
        _, terms = module.loss(batch)
        for name, value in terms.items():
            gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            norm = torch.stack([gradient.norm() for gradient in gradients if gradient is not None]).norm()
            found.setdefault(name, []).append((value.item(), norm.item()))
    return {name: tuple(np.mean(values, axis=0)) for name, values in found.items()}


def train(module: Distillation, batches: Any, steps: int) -> None:
    """Train for a number of steps with the whole objective."""
    optimizer = torch.optim.AdamW(module.parameters(), module.lr)
    for batch in islice(batches, steps):
        loss, _ = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()


def main() -> None:
    """Print a table of the terms."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("overrides", nargs="*")
    command.add_argument("--batches", type=int, default=4)
    command.add_argument("--steps", default="0", help="training steps after which to measure, ascending: 0,50")
    options = command.parse_args()
    module, datamodule = prepared(composed(options.overrides))
    batches = list(islice(datamodule.train_dataloader(), options.batches))
    training, done = cycle(datamodule.train_dataloader()), 0
    for steps in map(int, options.steps.split(",")):
        train(module, training, steps - done)
        done = steps
        print(f"after {steps} steps: term, its value, norm of its gradient, weight, norm times weight")
        for name, (value, norm) in term_norms(module, batches).items():
            weight = module.objective.weights[name]
            print(f"{name:>12} {value:8.3f} {norm:8.3f} {weight:6.2f} {weight * norm:8.3f}", flush=True)


if __name__ == "__main__":
    main()
