"""A data set, a teacher and settings small enough for a whole run in seconds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from m2fp_kd.checkpoints.network import save_network
from m2fp_kd.config import register_resolvers
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.evaluation.speed.measure import Measurement
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.m2fp import build_m2fp
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage
from tests.distill.tiny import TINY

CONF = Path(__file__).parents[2] / "conf"

Composer = Callable[..., DictConfig]


@pytest.fixture
def measured() -> None:
    """Let a run measure its artefacts in every installed engine."""


@pytest.fixture(autouse=True)
def made_up_times(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare most runs the processes that measure their artefacts."""
    if "measured" not in request.fixturenames:
        monkeypatch.setattr("m2fp_kd.pipeline.record.latency.measure", made_up_measurement)


def made_up_measurement(path: Path, photos: object, threads: int | None, engine: str, **_: object) -> Measurement:
    """Stand in for `measure`."""
    return Measurement(
        p50_ms=2.0,
        p95_ms=3.0,
        runs=50,
        photos="made up",
        threads=threads,
        engine=engine,
        precision="f32",
        cpu={"model": "made up"},
        megabytes=path.stat().st_size / 1e6,
        peak_mb=100.0,
        network=[64, 64],
        other_cores=0.0,
    )


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write six training and two validation scenes of 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, "Training", range(6), 64)
    write_dataset(folder, "Validation", range(100, 102), 64)
    return folder


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save an untrained M2FP for CIHP as `stage=teacher` does."""
    labels = load_label_set("cihp")
    backbone = build_backbone("resnet18")
    architecture = {
        "_target_": "m2fp_kd.models.m2fp.build_m2fp",
        "backbone": {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": "resnet18"},
        "num_classes": labels.num_classes,
    }
    network = build_m2fp(backbone, labels.num_classes, **TINY)
    lineage = Lineage(name="tiny", licence="Apache-2.0")
    return save_network(
        tmp_path_factory.mktemp("teacher") / "teacher", network, labels, Geometry(64), architecture | TINY, lineage
    )


def compose_small(scenes: Path, run_dir: Path, *overrides: str) -> DictConfig:
    """Compose the project's configuration with small settings, fp32 only; further overrides as on the command line."""
    register_resolvers()
    small = [
        f"data.root={scenes}", "data.size=64", "data.batch_size=2", "backbone=mobilenetv3_small", "teacher=none",
        "distill=labels", "logger=csv", "trainer.max_epochs=2", "trainer.precision=32-true",
        "trainer.log_every_n_steps=1", "student.network.width=16", "compress=none",
        "compress.gates.quantise={min_pixel_agreement:0,max_miou_drop:100,max_part_drop:null,max_boundary_drop:null}",
        f"run_dir={run_dir}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*small, *overrides])


@pytest.fixture
def composed(scenes: Path, tmp_path: Path) -> Composer:
    """Return `compose_small` with a run folder of the test's own."""
    return partial(compose_small, scenes, tmp_path / "run")
