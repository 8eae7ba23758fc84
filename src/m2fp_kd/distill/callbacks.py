"""Pictures of predictions while a run is training."""

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import WandbLogger

from m2fp_kd.evaluation.pictures import Picture, strip
from m2fp_kd.runtime.geometry import restore_map

PHOTOS = 4


class PredictionPictures(pl.Callback):
    """After every validation, logs the first few photos with truth and prediction to Weights & Biases, if it is on."""

    @torch.inference_mode()
    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if batch_idx or trainer.sanity_checking or not loggers:
            return
        images = batch["images"][:PHOTOS]
        logits = module(images).part_logits.float()
        maps = F.interpolate(logits, size=images.shape[-2:], mode="bilinear").argmax(dim=1).to(torch.uint8)
        strips = []
        for index, part_map in enumerate(maps.cpu().numpy()):
            placement, truth = batch["placements"][index], batch["truth"][index]
            height, width = placement.content
            canvas = images[index, :, :height, :width].cpu().numpy().transpose(1, 2, 0).astype(np.uint8)
            rows, columns = (
                np.arange(size) * inner // size for size, inner in zip(placement.source, placement.content, strict=True)
            )
            photo = canvas[rows[:, None], columns]
            shown = {"truth": truth, "student": restore_map(part_map, placement)}
            strips.append(strip(Picture(batch["names"][index], photo, shown), module.labels))
        for logger in loggers:
            logger.log_image("val/predictions", strips, step=trainer.global_step)
