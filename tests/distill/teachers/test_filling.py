"""Filling a teacher's cache: its content, several processes, changed photos, and interruptions."""

import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from m2fp_kd.data.layouts import Record, m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.data.teacher_cache import TeacherCache, entry
from m2fp_kd.distill.teachers.filling import fill_cache
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.tta import Tta
from m2fp_kd.distill.teachers.whole_photo import PlacedPhoto, WholePhotoTeacher, write_teacher_card
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry
from m2fp_kd.runtime.provenance import TeacherCard
from m2fp_kd.shards import Shard
from tests.distill.tiny import tiny_m2fp
from tests.hostile.killing import killed, whole_files

CIHP = LABEL_SETS["cihp"]
KEY = "ab" * 32


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, "Training", range(3), 64)
    return m2fp_records(folder, "Training")


def test_the_cache_has_the_teachers_targets_of_both_orientations(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    cache = TeacherCache(tmp_path, KEY)
    assert fill_cache(cache, teacher, records) == 3
    photo = read_record(records[0], CIHP).image
    live = np.exp(teacher.log_parts(photo))
    stored, placement = cache.read(records[0].name, file_sha256(records[0].image))
    distance = 0.5 * np.abs(np.exp(stored) - live).sum(axis=1)  # total variation per cell
    assert stored.shape == (2, 20, 16, 16) and distance.mean() < 0.05
    assert placement == teacher.placement(photo)
    assert not np.allclose(
        live[0], live[1][..., ::-1], atol=1e-3
    )  # otherwise the second orientation would prove nothing


def test_entries_are_encoded_with_the_label_sets_flip_permutation(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    filled, by_hand = TeacherCache(tmp_path / "filled", KEY), TeacherCache(tmp_path / "by_hand", KEY)
    fill_cache(filled, teacher, records[:1])
    photo = read_record(records[0], CIHP).image
    facts = teacher.placement(photo), file_sha256(records[0].image), CIHP.flip_permutation
    by_hand.append(records[0].name, entry(teacher.log_parts(photo), *facts))
    assert filled.path.read_bytes() == by_hand.path.read_bytes()


def test_filling_a_cache_continues_after_an_interruption(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    answers = WholePhotoTeacher.answers

    def interrupted(self: WholePhotoTeacher, photos: Sequence[PlacedPhoto]) -> np.ndarray:
        calls.append(len(photos))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answers(self, photos)

    monkeypatch.setattr(WholePhotoTeacher, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill_cache(TeacherCache(tmp_path, KEY), teacher, records)
    again = TeacherCache(tmp_path, KEY)
    assert again.names == [records[0].name]
    assert fill_cache(again, teacher, records) == 2
    assert fill_cache(TeacherCache(tmp_path, KEY), teacher, records) == 0
    assert len(calls) == 4


def test_several_photos_at_once_get_the_targets_of_each(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: photos of several sizes, two networks, and views that depend on where a photo lies."""
    for number, size in enumerate([(90, 41), (33, 64), (64, 64)]):
        image = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    several = [Record(str(number), tmp_path / f"{number}.png") for number in range(3)]
    models = [PartModel(tiny_m2fp(), CIHP, Geometry(size)) for size in (64, 96)]
    teacher = WholePhotoTeacher(models, Geometry(64), Tta(flip=True, scales=(1, 1.5)))
    alone, together = TeacherCache(tmp_path / "alone", KEY), TeacherCache(tmp_path / "together", KEY)
    fill_cache(alone, teacher, several)
    monkeypatch.setattr(WholePhotoTeacher, "at_once", 2)
    fill_cache(together, teacher, several)
    for record in several:
        (one, placement), (other, same) = (
            cache.read(record.name, file_sha256(record.image)) for cache in (alone, together)
        )
        assert placement == same
        np.testing.assert_allclose(np.exp(one), np.exp(other), atol=2e-3)


def test_processes_fill_a_share_each_and_the_rest_of_a_lost_one(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    fill_cache(TeacherCache(tmp_path / "alone", KEY), teacher, records)
    cache, shares = TeacherCache(tmp_path / "shared", KEY), [Shard(number, 3) for number in (1, 2, 3)]
    held = [sum(shard.holds(record.name) for record in records) for shard in shares]
    made = [fill_cache(cache, teacher, records, [shard]) for shard in shares[:2]]
    assert made == held[:2] and len(cache.names) == sum(made)
    assert fill_cache(cache, teacher, records, shares[0].all_from_here()) == held[2], "the share of the lost process"
    assert fill_cache(cache, teacher, records, shares[1].all_from_here()) == 0
    assert fill_cache(cache, teacher, records) == 0
    alone = TeacherCache(tmp_path / "alone", KEY)
    for record in records:
        photo = file_sha256(record.image)
        assert np.array_equal(alone.read(record.name, photo)[0], cache.read(record.name, photo)[0])


def test_a_log_file_gets_one_line_instead_of_a_progress_bar(
    tmp_path: Path,
    teacher: WholePhotoTeacher,
    records: list[Record],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = TeacherCache(tmp_path, KEY)
    with caplog.at_level("INFO"):
        fill_cache(cache, teacher, records[:1])
        fill_cache(cache, teacher, records)
    assert caplog.messages == [
        "teacher: 1 of 1 photos have no target in the cache yet",
        "teacher: 2 of 3 photos have no target in the cache yet",
    ]
    assert "photo/s" not in capsys.readouterr().err


def test_the_target_of_a_changed_photo_is_recomputed(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    cache = TeacherCache(tmp_path, KEY)
    fill_cache(cache, teacher, records)
    other = tmp_path / "other.png"
    Image.fromarray(255 * np.eye(48, dtype=np.uint8)).save(other)
    changed = [records[0], Record(records[1].name, other), records[2]]
    with pytest.warns(UserWarning, match="made from another photo.*recomputed"):
        assert fill_cache(cache, teacher, changed) == 1
    assert cache.read(records[1].name, file_sha256(other))[1].source == (48, 48)
    assert fill_cache(cache, teacher, changed) == 0


def test_a_process_that_waited_computes_only_the_missing_targets(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record]
) -> None:
    waiting, other, made = TeacherCache(tmp_path, KEY), TeacherCache(tmp_path, KEY), []
    thread = threading.Thread(target=lambda: made.append(fill_cache(waiting, teacher, records)))
    with FileLock(waiting.path.with_suffix(".lock")):
        thread.start()
        for record in records[:2]:
            photo = read_record(record, CIHP).image
            facts = teacher.placement(photo), file_sha256(record.image)
            other.append(record.name, entry(teacher.log_parts(photo), *facts))
        thread.join(timeout=0.2)
        assert thread.is_alive() and made == []
    thread.join(timeout=10)
    assert made == [1] and waiting.names == sorted(record.name for record in records)


def test_an_answer_that_is_not_finite_is_named(
    tmp_path: Path, teacher: WholePhotoTeacher, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = teacher.answers

    def overflown(photos: Sequence[PlacedPhoto]) -> np.ndarray:
        return answers(photos) * (np.nan if next(calls) == 2 else 1)

    calls = count(1)
    monkeypatch.setattr(teacher, "answers", overflown)
    with pytest.raises(ValueError, match=f"the teacher's answer to {records[1].name}: log parts contain NaN"):
        fill_cache(TeacherCache(tmp_path, KEY), teacher, records)
    assert TeacherCache(tmp_path, KEY).names == [records[0].name, records[2].name], "the answers that are finite"


def test_a_killed_filling_continues_with_the_same_command(tmp_path: Path, records: list[Record]) -> None:
    """Killed before each of its changes, a filling loses at most the photo that it was at."""

    def answers(photos: Sequence[PlacedPhoto]) -> np.ndarray:
        seed = int(photos[0].canvases[Geometry(64)].sum())
        logits = np.random.default_rng(seed).normal(size=(1, 2, CIHP.num_parts, 16, 16)).astype(np.float32)
        return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))

    def placed(photo: np.ndarray) -> PlacedPhoto:
        return PlacedPhoto((64, 64), {Geometry(64): photo[None]})

    teacher: Any = SimpleNamespace(
        answers=answers, placed=placed, at_once=1, student_geometry=Geometry(64), labels=CIHP
    )

    def fill(folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        write_teacher_card(folder, TeacherCard(name="tiny"))
        return fill_cache(TeacherCache(folder, KEY), teacher, records)

    assert fill(tmp_path / "alone") == 3
    right = whole_files(tmp_path / "alone")
    for moment in count(1):
        folder = tmp_path / str(moment)
        if not killed(lambda folder=folder: fill(folder), folder, moment):
            break
        if "targets.bin" in (left := whole_files(folder)):
            assert right["targets.bin"].startswith(left["targets.bin"])
        known = len(TeacherCache(folder, KEY).names)
        assert fill(folder) == 3 - known and whole_files(folder) == right
    assert moment > 2 * 3 + 3, "card, header, and a change a photo"
