import numpy as np
import pytest

from m2fp_kd.compress.photos import SpreadPhotos, training_canvases
from m2fp_kd.data.datamodule import ParsingDataModule
from m2fp_kd.data.dataset import DrawnPhotos
from m2fp_kd.data.splits import Splits
from m2fp_kd.labels import LABEL_SETS

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def data() -> ParsingDataModule:
    splits = Splits(DrawnPhotos(8, 64, (1, 1), (0,)), DrawnPhotos(3, 64, (1, 1), (1,)))
    return ParsingDataModule(splits, CIHP, 64, 4)


def test_calibration_photos_are_spread_evenly(data: ParsingDataModule) -> None:
    assert SpreadPhotos(data.training_photos(), 3).indices == [0, 4, 7]
    assert len(SpreadPhotos(data.training_photos(), 100)) == len(SpreadPhotos(data.training_photos())) == 8
    photos = SpreadPhotos(data.training_photos(), 2)
    assert [photo.name for photo in photos] == [photo.name for photo in photos]


def test_canvases_are_training_photos_placed_as_in_validation(data: ParsingDataModule) -> None:
    canvases = list(training_canvases(data)(3))
    assert [canvas.shape for canvas in canvases] == [(1, 64, 64, 3)] * 3
    first = next(iter(SpreadPhotos(data.training_photos(), 3)))
    np.testing.assert_array_equal(canvases[0][0], first.image)  # scenes of the canvas's size do not change
