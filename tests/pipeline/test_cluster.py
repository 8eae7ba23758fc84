"""The jobs of a sweep as submitit runs them on a cluster, here in processes of this machine."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_submitit_trains_the_jobs_of_a_sweep(scenes: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the sweep extra")
    overrides = [
        "-m", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10", "hydra.launcher.cpus_per_task=1",
        f"hydra.sweep.dir={tmp_path / 'runs'}", "seed=0,1", "data=cihp", f"data.root={scenes}", "data.size=64",
        "data.batch_size=2", "backbone=mobilenetv3_small", "teacher=none", "distill=labels", "logger=csv",
        "student.network.width=16", "trainer.max_epochs=1", "compress=none", "data.splits.test=null",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, ROOT / "train.py", *overrides], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (table,) = (tmp_path / "runs").glob("sweep-*.csv")
    with table.open(newline="") as lines:
        assert sorted(row["seed"] for row in csv.DictReader(lines)) == ["0", "1"]
    assert len(list((tmp_path / "runs").glob("*/student.safetensors"))) == 2
