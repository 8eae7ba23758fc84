from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from m2fp_kd.compress.callback import CompressAfterFit
from m2fp_kd.compress.export.onnx import Export
from m2fp_kd.compress.int8.static import StaticInt8
from m2fp_kd.compress.options import CheckSettings, Gate
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos
from m2fp_kd.data.splits import Splits
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.artefact import Card
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import ColourStudent

CIHP = LABEL_SETS["cihp"]
ANY = Gate(0.0, 100.0)


class _Training(pl.LightningModule):
    """Shift the classifier's bias at every step; the validation score falls with every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.student = ColourStudent()

    def training_step(self, batch: dict, index: int) -> Tensor:
        return self.student(batch["images"]).part_logits[:, 1].mean()

    def validation_step(self, batch: dict, index: int) -> None:
        self.log("figure", float(self.current_epoch), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.student.classifier.parameters(), lr=5.0)


@pytest.fixture
def data() -> ParsingDataModule:
    splits = Splits(DrawnPhotos(8, 64, (1, 1), (0,)), DrawnPhotos(3, 64, (1, 1), (1,)))
    return ParsingDataModule(splits, CIHP, 64, 4)


def test_the_best_checkpoint_is_compressed_when_training_ends(data: ParsingDataModule, tmp_path: Path) -> None:
    torch.manual_seed(0)
    compress = CompressAfterFit(
        tmp_path / "artefacts",
        lambda: Card(CIHP.to_dict(), asdict(Geometry(64)), "fp32", "fpn"),
        [Export(), StaticInt8(calibration_photos=2)],
        CheckSettings({"export": ANY, "quantise": ANY}, threads=1),
    )
    best = ModelCheckpoint(tmp_path, monitor="figure", mode="min")
    module = _Training()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[ModelCheckpoint(tmp_path / "last"), compress, best],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data)
    assert compress.results is not None
    compress.raise_failed()
    assert "epoch=0" in best.best_model_path
    weights = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    assert not torch.equal(weights["student.classifier.bias"], module.student.classifier.bias)
    exported = _constants(compress.results.paths["fp32"])
    assert any(np.array_equal(weights["student.classifier.bias"], values) for values in exported)
    assert Parser.load(compress.results.paths["int8"]).labels == CIHP


def _constants(path: Path) -> list[np.ndarray]:
    import onnx

    return [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
