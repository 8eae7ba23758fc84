"""A teacher of another label set says the same of the student's parts live, from its cache and about whole photos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from m2fp_kd.data.bridging import cross
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.data.teacher_cache import TeacherCache, cache_key
from m2fp_kd.distill.teachers.bridged import BridgedTeacher
from m2fp_kd.distill.teachers.live import LiveTeacher
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher, fill_cache, part_map
from m2fp_kd.labels import LABEL_SETS, find_bridge
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place
from tests.distill.tiny import tiny_m2fp

CIHP, PASCAL = LABEL_SETS["cihp"], LABEL_SETS["pascal_person_part"]
BRIDGE = find_bridge(CIHP, PASCAL)
assert BRIDGE is not None


def batch() -> dict[str, torch.Tensor]:
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return {"images": images, "valid": torch.ones(2, 16, 16, dtype=torch.bool)}


@pytest.mark.parametrize("size", [64, 96])
def test_a_live_teacher_speaks_of_the_students_parts(size: int) -> None:
    own = LiveTeacher(tiny_m2fp(), CIHP.num_parts, size)(batch())
    target = BridgedTeacher(tiny_m2fp(), BRIDGE, size)(batch())
    assert torch.equal(target.log_parts, cross(own.log_parts, BRIDGE)) and target.log_parts.shape == (2, 7, 16, 16)
    assert torch.equal(target.features, own.features) and torch.equal(target.valid, own.valid)


def test_queries_are_not_given_as_their_classes_are_the_teachers() -> None:
    teacher = BridgedTeacher(tiny_m2fp(), BRIDGE, 64)
    assert teacher.gives == {"log_parts", "features"} and teacher(batch()).queries is None


def test_one_cache_serves_students_of_any_label_set(tmp_path: Path) -> None:
    write_dataset(tmp_path, "Training", range(2), 64)
    records = m2fp_records(tmp_path, "Training")
    own = WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(64), Geometry(64))
    bridged = WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(64), Geometry(64), bridge=BRIDGE)
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


def test_a_whole_photo_is_parsed_into_the_students_parts() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    own = WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(64), Geometry(64))
    bridged = WholePhotoTeacher(tiny_m2fp(), CIHP, Geometry(64), Geometry(64), bridge=BRIDGE)
    said = torch.from_numpy(own.log_parts(photo)[:1])
    expected = part_map(cross(said, BRIDGE)[0].numpy(), place(photo, Geometry(64))[1])
    found = bridged.parse(photo)
    assert (found == expected).mean() > 0.99 and found.max() < 7


def test_photos_with_other_labels_than_the_teachers_enter_its_cache(tmp_path: Path) -> None:
    """A teacher of 7 parts and photos labelled with 20: their label maps are none of its business."""
    write_dataset(tmp_path, "Training", range(1), 64)
    records = m2fp_records(tmp_path, "Training")
    teacher = WholePhotoTeacher(tiny_m2fp(num_classes=8), PASCAL, Geometry(64), Geometry(64))
    cache = TeacherCache(tmp_path, "ab" * 32)
    assert fill_cache(cache, teacher, records) == 1
    assert cache.read(records[0].name, file_sha256(records[0].image))[0].shape[1] == 7
