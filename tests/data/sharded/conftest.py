"""Shards of a small data set."""

from pathlib import Path

import pytest

from m2fp_kd.data.sharded.writing import make, plan
from m2fp_kd.labels import LABEL_SETS


@pytest.fixture
def shards(m2fp_folder: Path, tmp_path: Path) -> Path:
    """Three training shards of two photos and a validation shard of three, in a folder of their own."""
    folder = tmp_path / "shards"
    planned = plan(m2fp_folder, 0.014)
    make(planned, folder, LABEL_SETS["cihp"])
    return folder
