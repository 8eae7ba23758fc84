"""Load teachers for a tiny data set."""

from pathlib import Path

import pytest
from hydra.utils import instantiate

from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.pipeline.assemble.teacher import Teacher, load_teacher
from tests.pipeline.assemble.teachers import Loader
from tests.pipeline.conftest import Composer


@pytest.fixture
def load(composed: Composer, tmp_path: Path) -> Loader:
    """Load a teacher; ``cached`` and ``live`` name its mode, the rest are overrides."""

    def loaded(mode: str, checkpoint: object, *overrides: str) -> tuple[Teacher, ParsingDataModule]:
        cache = [f"teacher.cache={tmp_path / 'cache'}"] if mode == "cached" else []
        cfg = composed(f"teacher={mode}", f"teacher.checkpoint={checkpoint}", *cache, *overrides)
        datamodule = instantiate(cfg.data.module)
        return load_teacher(cfg, datamodule), datamodule

    return loaded
