"""Images of predictions during training."""

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import WandbLogger

from m2fp_kd.evaluation.report.pictures import Picture, masks, reduced
from m2fp_kd.runtime.part_map import part_map

PHOTOS = 4
LONGEST = 320
"""Longest side of an image, in pixels."""


class PredictionPictures(pl.Callback):
    """Log the first validation photos to Weights & Biases, if enabled, with labels and prediction as masks.

    Photos of a mix show labels only where they are the student's.

    Images are logged after the first, second, fourth, eighth validation and so on since the run started or resumed, so
    that a thousand validations leave ten.
    """

    def __init__(self) -> None:
        self.validations = 0

    @torch.inference_mode()
    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        """Log the first batch's photos."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if batch_idx or trainer.sanity_checking or not loggers:
            return
        self.validations += 1
        if self.validations.bit_count() > 1:  # not a power of two
            return
        pictures = [reduced(picture, LONGEST) for picture in _pictures(module, batch)]
        for logger in loggers:
            logger.log_image(
                "val/predictions",
                [Image.fromarray(picture.photo) for picture in pictures],
                step=trainer.global_step,
                caption=[picture.name for picture in pictures],
                masks=[masks(picture, module.labels) for picture in pictures],
                file_type=["jpg"] * len(pictures),
            )


def _pictures(module, batch) -> list[Picture]:
    images = batch["images"][:PHOTOS]
    pictures = []
    for index, logits in enumerate(module(images).part_logits.float().cpu().numpy()):
        placement, truth = batch["placements"][index], batch["truth"][index]
        height, width = placement.content
        canvas = images[index, :, :height, :width].cpu().numpy().transpose(1, 2, 0).astype(np.uint8)
        rows, columns = (
            np.arange(size) * inner // size for size, inner in zip(placement.source, placement.content, strict=True)
        )
        photo = canvas[rows[:, None], columns]
        own = "sources" not in batch or module.part_sets[batch["sources"][index]].one_to_one
        shown = ({"truth": truth} if own else {}) | {"student": part_map(logits, placement)}
        pictures.append(Picture(batch["names"][index], photo, shown))
    return pictures
