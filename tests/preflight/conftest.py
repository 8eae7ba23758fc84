"""A composed configuration of the shipped sample."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from m2fp_kd.config import register_resolvers

CONF = Path(__file__).parents[2] / "conf"

Composer = Callable[..., DictConfig]


@pytest.fixture
def composed() -> Composer:
    """Compose the configuration; a training has two epochs. Choices of groups are composed once, values merged."""

    def compose_with(*overrides: str) -> DictConfig:
        choices = tuple(override for override in overrides if (CONF / override.partition("=")[0]).is_dir())
        values = [override.removeprefix("+") for override in overrides if override not in choices]
        cfg = _chosen(choices).copy()
        OmegaConf.set_struct(cfg, False)
        return cast(DictConfig, OmegaConf.merge(cfg, OmegaConf.from_dotlist(values)))

    return compose_with


@cache
def _chosen(choices: tuple[str, ...]) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["trainer.max_epochs=2", *choices])
