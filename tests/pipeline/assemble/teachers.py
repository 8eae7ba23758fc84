"""An untrained per-pixel teacher, and the targets of a teacher."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from m2fp_kd.checkpoints.network import save_network
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.reading import read_record
from m2fp_kd.labels import load_label_set
from m2fp_kd.models.backbones import build_backbone
from m2fp_kd.models.fpn import FPNStudent
from m2fp_kd.pipeline.assemble.teacher import Teacher
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import Lineage

Loader = Callable[..., tuple[Teacher, ParsingDataModule]]


def save_fpn(path: Path, labels: str = "cihp", seed: int = 0, lineage: Lineage | None = None) -> Path:
    """Save an untrained fpn whose answers differ between pixels."""
    torch.manual_seed(seed)
    parts = load_label_set(labels)
    network = FPNStudent(build_backbone("mobilenetv3_small"), parts.num_parts, width=16)
    torch.nn.init.normal_(network.classifier.weight, std=100.0)
    architecture = {
        "_target_": "m2fp_kd.models.fpn.FPNStudent",
        "backbone": {"_target_": "m2fp_kd.models.backbones.build_backbone", "name": "mobilenetv3_small"},
        "num_parts": parts.num_parts,
        "width": 16,
    }
    known = lineage or Lineage(student="fpn", backbone="mobilenetv3_small", licences=("Apache-2.0",))
    return save_network(path, network, parts, Geometry(64), architecture, known)


def first_photo(datamodule: ParsingDataModule) -> np.ndarray:
    return read_record(datamodule.records[0], datamodule.labels).image


def live_target(teacher: Teacher, photo: np.ndarray) -> torch.Tensor:
    assert teacher.source is not None
    images, valid = torch.from_numpy(photo).permute(2, 0, 1)[None], torch.ones(1, 16, 16, dtype=torch.bool)
    return teacher.source({"images": images, "valid": valid}).log_parts


def cached_target(datamodule: ParsingDataModule) -> np.ndarray:
    record = datamodule.records[0]
    assert datamodule.cache is not None
    return datamodule.cache.read(record.name, file_sha256(record.image))[0]
