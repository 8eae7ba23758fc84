"""Learning-rate schedule and parameter groups."""

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, PolynomialLR, SequentialLR


def warmup_polynomial(optimizer: Optimizer, total_steps: int, warmup: float = 0.05, power: float = 0.9) -> LRScheduler:
    """Return a schedule with linear warm-up over the share ``warmup`` of the steps, then polynomial decay to 0."""
    warmup_steps = max(1, round(warmup * total_steps))
    return SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=0.01, total_iters=warmup_steps),
            PolynomialLR(optimizer, total_iters=max(1, total_steps - warmup_steps), power=power),
        ],
        milestones=[warmup_steps],
    )


def parameter_groups(module: nn.Module, lr: float, weight_decay: float, backbone_scale: float) -> list[dict]:
    """Split parameters by backbone or rest, and by decayed or not (vectors: biases, norms, embeddings' scales).

    Args:
        module: a module whose backbone parameters have ``backbone.`` in their name.
        lr: learning rate outside the backbone.
        weight_decay: weight decay of matrices and convolutions.
        backbone_scale: factor on ``lr`` in the backbone; use 0.1 to 0.25 for an ImageNet start.
    """
    groups: dict[tuple[bool, bool], list] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(("backbone." in name, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * (backbone_scale if in_backbone else 1.0),
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (in_backbone, decayed), parameters in groups.items()
    ]
