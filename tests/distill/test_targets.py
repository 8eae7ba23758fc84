"""A frozen teacher asked once: what its cache holds, and how it goes on after an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.data.layouts import Record, m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache
from m2fp_kd.distill.targets import (
    WholePhotoTeacher,
    fill_cache,
    part_map,
    read_teacher_card,
    write_teacher_card,
)
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from tests.distill.tiny import tiny_m2fp

CIHP = LABEL_SETS["cihp"]
KEY = "ab" * 32


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, "Training", range(3), 64)
    return m2fp_records(folder, "Training")


@pytest.fixture(scope="module")
def teacher() -> WholePhotoTeacher:
    return WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(64), Geometry(64))


def test_the_cache_holds_what_the_teacher_says_of_both_orientations(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    cache = TeacherCache(tmp_path, KEY)
    assert fill_cache(cache, teacher, records) == 3
    photo = read_record(records[0], CIHP).image
    live = np.exp(teacher.log_parts([photo, np.ascontiguousarray(photo[:, ::-1])]))
    stored, placement = cache.read(records[0].name, file_sha256(records[0].image))
    distance = 0.5 * np.abs(np.exp(stored) - live).sum(axis=1)  # total variation per cell
    assert stored.shape == (2, 20, 16, 16) and distance.mean() < 0.05
    assert placement == teacher.placement(photo)
    assert not np.allclose(live[0], live[1][..., ::-1], atol=1e-3)  # else the second orientation would prove nothing


def test_it_goes_on_where_it_was_interrupted(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = WholePhotoTeacher.log_parts

    def interrupted(self: WholePhotoTeacher, photos: list[np.ndarray]) -> np.ndarray:
        asked.append(len(photos))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return ask(self, photos)

    monkeypatch.setattr(WholePhotoTeacher, "log_parts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill_cache(TeacherCache(tmp_path, KEY), teacher, records)
    again = TeacherCache(tmp_path, KEY)
    assert again.names == [records[0].name]
    assert fill_cache(again, teacher, records) == 2
    assert fill_cache(TeacherCache(tmp_path, KEY), teacher, records) == 0
    assert len(asked) == 4


def test_a_part_map_has_the_photos_own_size(teacher: WholePhotoTeacher) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 41, 3), np.uint8)
    assert teacher.parse(photo).shape == (90, 41)
    assert np.array_equal(teacher.parse(photo), part_map(teacher.log_parts([photo])[0], teacher.placement(photo)))


def test_a_larger_teacher_answers_on_the_students_grid_and_parses_on_its_own() -> None:
    large = WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(128), Geometry(64))
    photo = np.random.default_rng(0).integers(0, 256, (60, 64, 3), np.uint8)
    said = large.log_parts([photo])
    assert said.shape == (1, 20, 16, 16) and np.allclose(np.exp(said).sum(axis=1), 1, atol=1e-4)
    alike = WholePhotoTeacher(large.network, CIHP, Geometry(128), Geometry(128))
    assert np.array_equal(large.parse(photo), alike.parse(photo))


def test_the_card_names_teacher_licence_and_parts(tmp_path: Path) -> None:
    card = {"name": "tiny", "licence": "Apache-2.0", "parts": list(CIHP.parts)}
    with pytest.raises(CacheError, match=r"teacher\.json is missing.*under which licence"):
        read_teacher_card(tmp_path, CIHP)
    write_teacher_card(tmp_path, card)
    assert read_teacher_card(tmp_path, CIHP) == card == json.loads((tmp_path / "teacher.json").read_text())
    with pytest.raises(CacheError, match=r"knows other parts .* than the data's 'lip'"):
        read_teacher_card(tmp_path, LABEL_SETS["lip"])
