"""A teacher for short trainings."""

from pathlib import Path

import pytest

from m2fp_kd.checkpoints.network import save_network
from m2fp_kd.labels import load_label_set
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage
from tests.distill.tiny import TINY, tiny_m2fp


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save an untrained M2FP for the sample's label set."""
    labels = load_label_set("cihp")
    architecture = {
        "_target_": "m2fp_kd.models.m2fp.build_m2fp",
        "backbone": {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": "mobilenetv3_small"},
        "num_classes": labels.num_classes,
    }
    path = tmp_path_factory.mktemp("teacher") / "teacher"
    return save_network(
        path, tiny_m2fp(), labels, Geometry(64), architecture | TINY, Lineage(name="tiny", licence="none")
    )
