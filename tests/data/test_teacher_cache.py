"""The cache returns what was written, and never a stale, incomplete or broken entry."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.data import teacher_cache
from m2fp_kd.data.target_file import TargetFile
from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, cache_key, entry, stored_key
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, Placement
from tests.hostile.disk import full

FLIP = LABEL_SETS["cihp"].flip_permutation
KEY = cache_key("ab" * 32, Geometry(64))
PHOTO = "cd" * 32
PLACEMENT = Placement((50, 100), (32, 64), (64, 64))


@pytest.fixture(scope="module")
def targets(scene_log_parts: Callable[..., np.ndarray]) -> list[np.ndarray]:
    return [scene_log_parts(seed, FLIP, size=32) for seed in range(3)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, targets: list[np.ndarray]) -> TeacherCache:
    cache = TeacherCache(tmp_path_factory.mktemp("cache"), KEY)
    for number, target in enumerate(targets):
        cache.append(f"photo-{number}", entry(target, PLACEMENT, PHOTO, FLIP))
    return cache


@pytest.fixture
def cache(tmp_path: Path, built: TeacherCache) -> TeacherCache:
    shutil.copy(built.path, tmp_path)
    return TeacherCache(tmp_path, KEY)


def test_another_reader_sees_the_entries(cache: TeacherCache, targets: list[np.ndarray]) -> None:
    again = TeacherCache(cache.path.parent, KEY)
    assert again.names == ["photo-0", "photo-1", "photo-2"]
    for number, target in enumerate(targets):
        assert again.has(f"photo-{number}", PHOTO)
        log_parts, placement = again.read(f"photo-{number}", PHOTO)
        assert placement == PLACEMENT
        assert np.array_equal(log_parts.argmax(axis=1), target.argmax(axis=1))


def test_key_depends_on_everything_that_entries_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        KEY,
        cache_key("ab" * 32, Geometry(96)),
        cache_key("ac" * 32, Geometry(64)),
        cache_key("ab" * 32, Geometry(64), Geometry(128)),
    }
    assert len(keys) == 4 and cache_key("ab" * 32, Geometry(64)) == KEY and len(KEY) == 64
    monkeypatch.setattr(teacher_cache, "CODE_VERSION", 0)
    assert cache_key("ab" * 32, Geometry(64)) not in keys


def test_missing_entry_is_named(cache: TeacherCache, tmp_path: Path) -> None:
    assert not cache.has("photo-9", PHOTO)
    with pytest.raises(CacheError, match="no target of 'photo-9'"):
        cache.read("photo-9", PHOTO)
    with pytest.raises(CacheError, match="no target"):
        TeacherCache(tmp_path / "nowhere", KEY).read("photo-0", PHOTO)


def test_target_of_a_changed_photo_is_stale(cache: TeacherCache) -> None:
    with pytest.warns(UserWarning, match="another photo"):
        assert not cache.has("photo-1", "ef" * 32)
    with pytest.raises(CacheError, match="another photo"):
        cache.read("photo-1", "ef" * 32)


def test_cache_of_another_teacher_is_stale_and_replaced(cache: TeacherCache, targets: list[np.ndarray]) -> None:
    with pytest.warns(UserWarning, match="another teacher"):
        other = TeacherCache(cache.path.parent, cache_key("00" * 32, Geometry(64)))
    assert other.names == [] and not other.has("photo-0", PHOTO)
    with pytest.raises(CacheError, match="another teacher"):
        other.read("photo-0", PHOTO)
    other.append("photo-0", entry(targets[0], PLACEMENT, PHOTO))
    assert TeacherCache(cache.path.parent, other.key).names == ["photo-0"]


def test_a_rewritten_entry_wins(cache: TeacherCache, targets: list[np.ndarray]) -> None:
    cache.append("photo-0", entry(targets[2], PLACEMENT, "ef" * 32))
    again = TeacherCache(cache.path.parent, KEY)
    assert np.array_equal(again.read("photo-0", "ef" * 32)[0].argmax(axis=1), targets[2].argmax(axis=1))
    assert len(again.names) == 3


@pytest.mark.parametrize("lost", [1, 50, 3000])
def test_a_killed_build_continues(cache: TeacherCache, targets: list[np.ndarray], lost: int) -> None:
    whole = cache.path.read_bytes()
    cut = max(len(whole) - lost, TargetFile(cache.path, KEY).places["photo-2"][0] + 3)
    os.truncate(cache.path, cut)
    with pytest.warns(UserWarning, match="broken after 2 entries"):
        torn = TeacherCache(cache.path.parent, KEY)
    assert torn.names == ["photo-0", "photo-1"]
    with pytest.raises(CacheError, match="no target of 'photo-2'"):
        torn.read("photo-2", PHOTO)
    torn.append("photo-2", entry(targets[2], PLACEMENT, PHOTO, FLIP))
    assert cache.path.read_bytes() == whole


def test_a_full_disk_is_named_and_loses_one_entry(cache: TeacherCache, targets: list[np.ndarray]) -> None:
    before, size = cache.names, cache.path.stat().st_size
    with full(size + 100), pytest.raises(OSError) as error:
        cache.append("another", entry(targets[0], PLACEMENT, PHOTO))
    assert error.value.filename == str(cache.path)
    assert cache.names == before
    with pytest.warns(UserWarning, match="the rest counts as missing"):
        again = TeacherCache(cache.path.parent, cache.key)
    assert again.names == before
    again.append("another", entry(targets[0], PLACEMENT, PHOTO))
    assert TeacherCache(cache.path.parent, cache.key).has("another", PHOTO)


def test_a_flipped_bit_is_detected(cache: TeacherCache) -> None:
    content = bytearray(cache.path.read_bytes())
    start, length = TargetFile(cache.path, KEY).places["photo-1"]
    content[start + length // 2] ^= 4
    cache.path.write_bytes(content)
    again = TeacherCache(cache.path.parent, KEY)
    with pytest.raises(CacheError, match=r"'photo-1' is broken \(checksum\)"):
        again.read("photo-1", PHOTO)
    with pytest.warns(UserWarning, match="recomputed"):
        assert not again.has("photo-1", PHOTO)
    assert again.has("photo-0", PHOTO) and again.has("photo-2", PHOTO)


def test_another_file_is_refused(cache: TeacherCache, targets: list[np.ndarray]) -> None:
    assert stored_key(cache.path.parent) == KEY
    cache.path.write_bytes(b"something else altogether")
    with pytest.raises(CacheError, match="not a teacher cache of this version"):
        stored_key(cache.path.parent)
    with pytest.warns(UserWarning, match="not a teacher cache of this version"):
        other = TeacherCache(cache.path.parent, KEY)
    other.append("photo-0", entry(targets[0], PLACEMENT, PHOTO))
    assert TeacherCache(cache.path.parent, KEY).names == ["photo-0"]
    with pytest.raises(CacheError, match=r"teacher cache .* does not exist"):
        stored_key(cache.path.parent / "nowhere")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_a_photo_may_have_a_name_of_any_bytes(tmp_path: Path, targets: list[np.ndarray]) -> None:
    name = os.fsdecode("照片".encode("gbk"))
    TeacherCache(tmp_path, KEY).append(name, entry(targets[0], PLACEMENT, PHOTO, FLIP))
    again = TeacherCache(tmp_path, KEY)
    assert again.names == [name] and again.has(name, PHOTO) and again.read(name, PHOTO)[1] == PLACEMENT
