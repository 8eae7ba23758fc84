"""Groups and tags of W&B runs."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from m2fp_kd.config import register_resolvers
from tests.pipeline.conftest import CONF


@pytest.mark.parametrize(
    ("chosen", "group"),
    [([], "sample"), (["experiment=edge"], "edge"), (["experiment=[edge,cloud]"], "edge+cloud")],
)
def test_runs_are_grouped_by_experiment_else_by_data(
    monkeypatch: pytest.MonkeyPatch, chosen: list[str], group: str
) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["logger=wandb", *chosen], return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    assert cfg.logger.wandb.group == group


@pytest.mark.parametrize(
    ("overrides", "tags"),
    [
        (["student=m2fp", "backbone=resnet18"], ["m2fp", "resnet18", "ce", "jaccard", "dist", "mask"]),
        (["distill=labels", "teacher=none"], ["fpn", "mobilenetv3", "ce"]),
        (["distill=classic", "distill.alpha=1"], ["fpn", "mobilenetv3", "kl"]),
        (["stage=teacher"], ["m2fp", "efficientnet_lite2", "mask", "pixel"]),
        (["stage=pretrain", "backbone=resnet18"], ["resnet18", "efficientnet_lite2"]),
    ],
)
def test_tags_name_the_network_and_the_active_terms(overrides: list[str], tags: list[str]) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["logger=wandb", *overrides])
    assert list(cfg.logger.wandb.tags) == tags and cfg.logger.wandb.job_type == cfg.stage
