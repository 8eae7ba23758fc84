"""Load the best epoch of a Lightning training: its weights and its score."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

PREFIX = "student."
"""Prefix of the trained network's tensors in a checkpoint."""


def load_best(network: nn.Module, folder: Path, monitor: str = "val/mIoU") -> float:
    """Load the weights of the epoch with the best ``monitor`` from ``folder``; return that score.

    Raises:
        ValueError: no epoch was validated.
    """
    if not (folder / "best.ckpt").is_file():
        raise ValueError(f"the training ended before its first validation, so no epoch has a {monitor}; train longer")
    callbacks = load_student(network, folder / "best.ckpt")["callbacks"]
    return next(float(state["best_model_score"]) for name, state in callbacks.items() if monitor in name)


def load_student(network: nn.Module, checkpoint: Path) -> dict[str, Any]:
    """Load the trained network's weights from a checkpoint into ``network``; return the checkpoint's whole content.

    Args:
        network: trained network, or a copy of it.
        checkpoint: a ``.ckpt`` file of a training.

    Raises:
        RuntimeError: the checkpoint belongs to another network; the message lists the tensors that do not fit.
    """
    content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = content["state_dict"]
    network.load_state_dict({key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)})
    return content
