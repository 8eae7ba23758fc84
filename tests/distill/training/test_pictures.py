"""Images of predictions during training: when they are logged, and their content."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from torch import Tensor

from m2fp_kd.distill.training.pictures import PHOTOS, PredictionPictures
from m2fp_kd.labels import PartSets
from m2fp_kd.models.outputs import StudentOutput
from m2fp_kd.runtime.geometry import PAD_RGB, Placement
from tests.evaluation.reports import LABELS

DARK, BRIGHT = 40, 220
SOURCES = ((24, 32), (32, 20), (12, 16), (24, 32), (24, 32), (24, 32))
"""Sizes of the photos (height, width); the third is enlarged twice on its canvas of 32 x 32."""


@dataclass
class Logged:
    """One call of the logger: key, photos, step, and the arguments of every photo."""

    key: str
    photos: list[Image.Image]
    step: int | None
    more: dict[str, list[Any]]


class Recorder(WandbLogger):
    """Record the logged images; start no run."""

    def __init__(self) -> None:
        self.logged: list[Logged] = []

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self.logged.append(Logged(key, images, step, kwargs))


class Student:
    """Predict head where the red channel is bright, and background elsewhere."""

    labels = LABELS

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, images: Tensor) -> StudentOutput:
        assert not torch.is_grad_enabled()
        self.seen.append(len(images))
        brightness = F.avg_pool2d(images[:, :1].float(), 4) - (DARK + BRIGHT) / 2
        return StudentOutput(torch.cat([-brightness, brightness, torch.full_like(brightness, -1e3)], dim=1))


def scene(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a photo of bright and dark columns, the bright ones, and labels that differ from them."""
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
    student: Student,
    photos: int,
    batch_index: int = 0,
    sanity_checking: bool = False,
    wandb: bool = True,
    validations: int = 1,
) -> Recorder:
    """End one batch of every validation at step 17 and return the logged images."""
    recorder = Recorder()
    loggers = [CSVLogger("."), recorder] if wandb else [CSVLogger(".")]
    trainer: Any = SimpleNamespace(loggers=loggers, sanity_checking=sanity_checking, global_step=17)
    module: Any = student
    callback = PredictionPictures()
    for _ in range(validations):
        callback.on_validation_batch_end(trainer, module, None, batch(photos), batch_index)
    return recorder


def test_photos_are_logged_at_their_own_size_with_truth_and_prediction_as_masks() -> None:
    (logged,) = validate(Student(), photos=3).logged
    assert (logged.key, logged.step, len(logged.photos)) == ("val/predictions", 17, 3)
    assert logged.more["caption"] == ["photo0", "photo1", "photo2"] and logged.more["file_type"] == ["jpg"] * 3
    for index, (shown, masks) in enumerate(zip(logged.photos, logged.more["masks"], strict=True)):
        photo, bright, truth = scene(index)
        np.testing.assert_array_equal(np.asarray(shown), photo)
        np.testing.assert_array_equal(masks["truth"]["mask_data"], truth)
        np.testing.assert_array_equal(masks["student"]["mask_data"], bright)
        assert masks["student"]["class_labels"] == dict(enumerate(LABELS.parts)) | {255: "ignored"}


def test_photos_of_a_mix_show_labels_only_where_they_are_the_students() -> None:
    student, recorder = Student(), Recorder()
    student.part_sets = {"own": PartSets.same(LABELS), "other": SimpleNamespace(one_to_one=False)}  # type: ignore
    trainer: Any = SimpleNamespace(loggers=[recorder], sanity_checking=False, global_step=17)
    module: Any = student
    mixed = batch(2) | {"sources": ["other", "own"]}
    PredictionPictures().on_validation_batch_end(trainer, module, None, mixed, 0)
    assert [set(masks) for masks in recorder.logged[0].more["masks"]] == [{"student"}, {"truth", "student"}]


def test_only_the_first_photos_are_parsed_and_shown() -> None:
    student = Student()
    (logged,) = validate(student, photos=len(SOURCES)).logged
    assert len(logged.photos) == PHOTOS == 4 and student.seen == [4]


def test_a_long_training_logs_few_images() -> None:
    """Images are logged after validations 1, 2, 4, 8, ..., 512."""
    assert len(validate(Student(), photos=1, validations=1000).logged) == 10


@pytest.mark.parametrize("otherwise", [{"batch_index": 1}, {"sanity_checking": True}, {"wandb": False}])
def test_without_images_the_network_does_not_run(otherwise: dict[str, Any]) -> None:
    student = Student()
    assert validate(student, photos=2, **otherwise).logged == [] and student.seen == []
