"""Failures of Weights & Biases, which must not end a training."""

from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from PIL import Image

from m2fp_kd.distill.training.loggers import TolerantWandbLogger


def test_images_that_cannot_be_written_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logged: list[dict[str, Any]] = []
    run: Any = SimpleNamespace(log=lambda values: logged.append(values), define_metric=lambda *_, **__: None)
    logger = TolerantWandbLogger(experiment=run)

    def refused(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(wandb, "Image", refused)
        logger.log_image("val/predictions", [Image.new("RGB", (4, 4))], step=3)
    assert "No space left on device): these images are not in it" in caplog.text and logged == []
    monkeypatch.setattr(wandb, "Image", lambda image: image.size)
    logger.log_image("val/predictions", [Image.new("RGB", (4, 4))], step=5)
    assert logged[0]["val/predictions"] == [(4, 4)]
    logger.failed = True
    logger.log_image("val/predictions", [Image.new("RGB", (4, 4))], step=7)
    assert len(logged) == 1
