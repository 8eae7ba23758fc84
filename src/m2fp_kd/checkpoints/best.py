"""Load the best epoch of a Lightning training: its weights and its score."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

PREFIX = "student."
"""Prefix of the trained network's tensors in a checkpoint."""


def load_best(network: nn.Module, folder: Path) -> float:
    """Load the weights of the epoch with the best ``val/mIoU`` from ``folder``; return that mIoU (0..1)."""
    content = _load(folder / "best.ckpt")
    load_student(network, folder / "best.ckpt", content)
    return next(float(state["best_model_score"]) for name, state in content["callbacks"].items() if "val/mIoU" in name)


def load_student(network: nn.Module, checkpoint: Path, content: dict[str, Any] | None = None) -> None:
    """Load the trained network's weights from a checkpoint into ``network``.

    Args:
        network: trained network, or a copy of it.
        checkpoint: a ``.ckpt`` file of a training.
        content: content of the file, if it was read before.

    Raises:
        RuntimeError: the checkpoint belongs to another network; the message lists the tensors that do not fit.
    """
    state = (content or _load(checkpoint))["state_dict"]
    network.load_state_dict({key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)})


def _load(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)
