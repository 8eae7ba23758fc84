"""Pictures of predictions during training: when they are logged, and what they show."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from torch import Tensor

from m2fp_kd.distill.callbacks import PHOTOS, PredictionPictures
from m2fp_kd.evaluation.pictures import GAP
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.geometry import PAD_RGB, Placement
from m2fp_kd.runtime.mosaic import overlay
from tests.evaluation.reports import LABELS

DARK, BRIGHT = 40, 220
SOURCES = ((24, 32), (32, 20), (12, 16), (24, 32), (24, 32), (24, 32))
"""Sizes of the photos (height, width); the third is enlarged twice on its canvas of 32 x 32."""


class Recorder(WandbLogger):
    """Keeps the pictures that it is given; starts no run."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, list[Image.Image], int | None]] = []

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.logged.append((key, images, step))


class Student:
    """Takes what is bright in the red channel for a head, everything else for background."""

    labels = LABELS

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, images: Tensor) -> StudentOutput:
        assert not torch.is_grad_enabled()
        self.seen.append(len(images))
        brightness = F.avg_pool2d(images[:, :1].float(), 4) - (DARK + BRIGHT) / 2
        return StudentOutput(torch.cat([-brightness, brightness, torch.full_like(brightness, -1e3)], dim=1))


def scene(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo of bright and dark columns, which of them are bright, and a truth that says otherwise."""
    height, width = SOURCES[index]
    random = np.random.default_rng(index)
    bright = random.integers(0, 2, width // 4, np.uint8).repeat(4)[None].repeat(height, axis=0)
    photo = random.integers(0, 256, (height, width, 3), np.uint8)
    photo[..., 0] = np.where(bright, BRIGHT, DARK)
    return photo, bright, random.integers(0, 3, (height, width), np.uint8)


def batch(photos: int) -> dict[str, Any]:
    images, placements, truth = torch.empty(photos, 3, 32, 32, dtype=torch.uint8), [], []
    images[:] = torch.tensor(PAD_RGB, dtype=torch.uint8)[:, None, None]
    for index in range(photos):
        photo, _, labels = scene(index)
        scale = 2 if index == 2 else 1
        content = photo.repeat(scale, axis=0).repeat(scale, axis=1)
        height, width = content.shape[:2]
        images[index, :, :height, :width] = torch.from_numpy(content).permute(2, 0, 1)
        placements.append(Placement(SOURCES[index], (height, width), (32, 32)))
        truth.append(labels)
    names = [f"photo{index}" for index in range(photos)]
    return {"images": images, "placements": placements, "truth": truth, "names": names}


def validate(
    student: Student, photos: int, batch_index: int = 0, sanity_checking: bool = False, wandb: bool = True
) -> Recorder:
    """End one validation batch at step 17; what was logged."""
    recorder = Recorder()
    loggers = [CSVLogger("."), recorder] if wandb else [CSVLogger(".")]
    trainer: Any = SimpleNamespace(loggers=loggers, sanity_checking=sanity_checking, global_step=17)
    module: Any = student
    PredictionPictures().on_validation_batch_end(trainer, module, None, batch(photos), batch_index)
    return recorder


def test_a_strip_shows_photo_truth_and_prediction_at_the_photos_own_size() -> None:
    ((key, strips, step),) = validate(Student(), photos=3).logged
    assert (key, step, len(strips)) == ("val/predictions", 17, 3)
    for index, strip in enumerate(strips):
        photo, bright, truth = scene(index)
        height, width = SOURCES[index]
        assert strip.size == (3 * width + 2 * GAP, height)
        panels = [np.asarray(strip)[:, left : left + width] for left in range(0, strip.width, width + GAP)]
        expected = (photo, overlay(photo, truth, LABELS), overlay(photo, bright, LABELS))
        for panel, shown in zip(panels, expected, strict=True):
            np.testing.assert_array_equal(panel, shown)


def test_only_the_first_photos_are_parsed_and_shown() -> None:
    student = Student()
    ((_, strips, _),) = validate(student, photos=len(SOURCES)).logged
    assert len(strips) == PHOTOS == 4 and student.seen == [4]


@pytest.mark.parametrize("otherwise", [{"batch_index": 1}, {"sanity_checking": True}, {"wandb": False}])
def test_no_picture_costs_nothing(otherwise: dict[str, Any]) -> None:
    student = Student()
    assert validate(student, photos=2, **otherwise).logged == [] and student.seen == []
