"""A frozen teacher on whole photos: its targets, part maps, bridges and card."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from m2fp_kd.data.bridging import cross
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, cache_key
from m2fp_kd.distill.teachers.filling import fill_cache
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.sources import LiveTeacher
from m2fp_kd.distill.teachers.whole_photo import (
    WholePhotoTeacher,
    read_teacher_card,
    write_teacher_card,
)
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, Placement, place
from m2fp_kd.runtime.part_map import part_map
from m2fp_kd.runtime.provenance import DataSource, TeacherCard
from tests.distill.tiny import RedIsHat, tiny_m2fp

CIHP = LABEL_SETS["cihp"]
PASCAL = LABEL_SETS["pascal_person_part"]
BRIDGE = find_bridge(CIHP, PASCAL)
assert BRIDGE is not None


def red_where(mask: np.ndarray) -> np.ndarray:
    return np.stack([255 * mask, 0 * mask, 0 * mask], axis=-1).astype(np.uint8)


def test_a_whole_photo_gets_the_target_of_a_live_teacher_on_the_same_canvas(teacher: WholePhotoTeacher) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    canvas = torch.from_numpy(place(photo, Geometry(64))[0]).permute(2, 0, 1)[None]
    live = LiveTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64))])
    answer = live({"images": canvas, "valid": torch.ones(1, 16, 16, dtype=torch.bool)}).log_parts
    assert np.allclose(teacher.log_parts(photo)[:1], answer.numpy(), atol=1e-4)


def test_a_part_map_has_the_photos_own_size(teacher: WholePhotoTeacher) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 41, 3), np.uint8)
    assert teacher.parse(photo).shape == (90, 41)
    assert np.array_equal(teacher.parse(photo), part_map(teacher.log_parts(photo)[0], teacher.placement(photo)))


def test_a_larger_teacher_answers_on_the_students_grid_and_parses_on_its_own() -> None:
    """Stripes of two pixels are one cell for the teacher, which enlarges the photo, and half a cell for the student."""
    large = WholePhotoTeacher([PartModel(RedIsHat(), CIHP, Geometry(128))], Geometry(64))
    stripes = np.arange(64) // 2 % 2 * np.ones((48, 1))
    assert np.array_equal(large.parse(red_where(stripes)), stripes)
    assert large.placement(red_where(stripes)) == Placement((48, 64), (48, 64), (64, 64))
    answer = np.exp(large.log_parts(red_where(stripes)))
    assert answer.shape == (2, 20, 16, 16) and np.allclose(answer.sum(axis=1), 1, atol=1e-4)
    assert np.allclose(answer[0, :2, :11, 1:-1], 0.5, atol=0.05)


def test_structures_finer_than_the_students_grid_keep_their_share() -> None:
    """Lines cover every fourth column of the teacher's cells; without antialiasing the student's would miss them."""
    large = WholePhotoTeacher([PartModel(RedIsHat(), CIHP, Geometry(256))], Geometry(64))
    lines = (np.arange(256) // 4 % 4 == 0) * np.ones((256, 1))
    hat = np.exp(large.log_parts(red_where(lines)))[0, 1, :, 1:-1]
    assert np.allclose(hat, 0.25, atol=0.15)


def test_one_cache_serves_students_of_any_label_set(tmp_path: Path) -> None:
    write_dataset(tmp_path, "Training", range(2), 64)
    records = m2fp_records(tmp_path, "Training")
    own = WholePhotoTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64))], Geometry(64))
    bridged = WholePhotoTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64), BRIDGE)], Geometry(64))
    key = cache_key("ab" * 32, Geometry(64))
    assert fill_cache(TeacherCache(tmp_path, key, BRIDGE), bridged, records) == 2
    assert fill_cache(TeacherCache(tmp_path, key), own, records) == 0
    plain, led = TeacherCache(tmp_path, key), TeacherCache(tmp_path, key, BRIDGE)
    for record in records:
        digest = file_sha256(record.image)
        (stored, placement), (crossed, same) = plain.read(record.name, digest), led.read(record.name, digest)
        assert stored.shape == (2, 20, 16, 16) and crossed.shape == (2, 7, 16, 16) and placement == same
        np.testing.assert_allclose(np.exp(crossed).sum(axis=1), 1, atol=1e-5)
        merged = np.einsum("nphw,pq->nqhw", np.exp(stored), BRIDGE.shares)
        np.testing.assert_allclose(np.exp(crossed), merged, atol=1e-5)


def test_a_bridged_teacher_parses_into_the_students_parts() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    own = WholePhotoTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64))], Geometry(64))
    bridged = WholePhotoTeacher([PartModel(tiny_m2fp(), CIHP, Geometry(64), BRIDGE)], Geometry(64))
    answer = torch.from_numpy(own.log_parts(photo)[:1])
    expected = part_map(cross(answer, BRIDGE)[0].numpy(), place(photo, Geometry(64))[1])
    found = bridged.parse(photo)
    assert (found == expected).mean() > 0.99 and found.max() < 7


def test_a_cache_accepts_photos_of_another_label_set(tmp_path: Path) -> None:
    """A teacher of 7 parts and photos labelled with 20: the label maps are not read."""
    write_dataset(tmp_path, "Training", range(1), 64)
    records = m2fp_records(tmp_path, "Training")
    teacher = WholePhotoTeacher([PartModel(tiny_m2fp(num_classes=8), PASCAL, Geometry(64))], Geometry(64))
    cache = TeacherCache(tmp_path, "ab" * 32)
    assert fill_cache(cache, teacher, records) == 1
    assert cache.read(records[0].name, file_sha256(records[0].image))[0].shape[1] == 7


def test_the_card_names_teacher_licence_and_parts(tmp_path: Path) -> None:
    card = TeacherCard("tiny", "Apache-2.0", parts=CIHP.parts)
    with pytest.raises(CacheError, match=r"teacher\.json is missing.*its licence"):
        read_teacher_card(tmp_path, CIHP)
    write_teacher_card(tmp_path, card)
    assert read_teacher_card(tmp_path, CIHP) == card
    with pytest.raises(CacheError, match=r"has other parts .* than 'lip'.*set teacher\.labels"):
        read_teacher_card(tmp_path, LABEL_SETS["lip"])


def test_the_card_of_an_earlier_version_is_read_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "teacher.json"
    old = {"name": "tiny", "parts": list(CIHP.parts), "ensemble": {"flip": True}, "trained_on": {"name": "cihp"}}
    path.write_text(json.dumps(old))
    assert read_teacher_card(tmp_path, CIHP) == TeacherCard(
        "tiny", parts=CIHP.parts, tta={"flip": True}, trained_on=DataSource("cihp")
    )
    for broken in ("{", '{"colour": 1}', "[1]", '{"parts": 3}'):
        path.write_text(broken)
        with pytest.raises(CacheError, match=r"teacher\.json is not a valid teacher card"):
            read_teacher_card(tmp_path, CIHP)
