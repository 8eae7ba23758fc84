"""Mean and standard deviation of the images that models of timm and `transformers` expect."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from timm.data import resolve_model_data_config
from torch import nn

SETTINGS = "preprocessor_config.json"
"""File of a model of `transformers` that says how its images are made."""

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel, 0..255."""


def timm_statistics(model: nn.Module) -> Statistics:
    """Return mean and standard deviation of the images of a model of timm."""
    expected = resolve_model_data_config(model)
    return [255 * value for value in expected["mean"]], [255 * value for value in expected["std"]]


def image_statistics(file: Path) -> Statistics | None:
    """Return mean and standard deviation of the images of a model of `transformers`; None if they are not known.

    Args:
        file: the model's `SETTINGS`, which may not exist.

    Raises:
        ValueError: the file is broken, or the model takes BGR images.
    """
    if not file.is_file():
        return None
    try:
        return _of_settings(json.loads(file.read_bytes()))
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{file}: not valid ({error}); restore the file, or take another model") from error


def _of_settings(values: dict[str, Any]) -> Statistics | None:
    if values.get("do_flip_channel_order"):
        raise ValueError("the model takes BGR images, which is not supported")
    unit = 1 / (values.get("rescale_factor") or 1 / 255) if values.get("do_rescale", True) else 1.0
    mean, std = values.get("image_mean"), values.get("image_std")
    if not values.get("do_normalize", True):
        mean, std = 0.0, 1.0
    if mean is None or std is None:
        return None
    return _per_channel(unit, mean), _per_channel(unit, std)


def _per_channel(unit: float, values: float | Sequence[float]) -> list[float]:
    return [unit * float(value) for value in (values if isinstance(values, Sequence) else [values] * 3)]
