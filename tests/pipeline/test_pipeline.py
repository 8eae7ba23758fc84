"""A run keeps one folder from start to end."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from m2fp_kd import pipeline
from m2fp_kd.config import register_resolvers
from tests.pipeline.conftest import CONF


def test_instantiating_parts_of_the_configuration_does_not_rename_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def stage(cfg: DictConfig) -> dict[str, float]:
        instantiate(cfg.data.module)
        folders.append(cfg.run_dir)
        return {}

    monkeypatch.setitem(pipeline.STAGES, "train", stage)
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config")
    monkeypatch.chdir(tmp_path)
    pipeline.run(cfg)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("runs/*")] == folders
