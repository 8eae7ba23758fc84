"""A teacher for whole photos."""

import pytest

from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import Geometry
from tests.distill.tiny import tiny_m2fp


@pytest.fixture(scope="module")
def teacher() -> WholePhotoTeacher:
    return WholePhotoTeacher([PartModel(tiny_m2fp(), LABEL_SETS["cihp"], Geometry(64))], Geometry(64))
