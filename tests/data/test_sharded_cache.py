"""A teacher cache that several processes fill, each its own file."""

import os
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.data.teacher_cache import CacheError, TeacherCache, cache_key, entry, stored_key
from m2fp_kd.runtime.geometry import Geometry, Placement
from m2fp_kd.shards import Shard

KEY = cache_key("ab" * 32, Geometry(64))
PHOTO = "cd" * 32
PLACEMENT = Placement((50, 100), (32, 64), (64, 64))


def target(part: int) -> np.ndarray:
    """Return log parts that are certain of one part of two everywhere."""
    parts = np.full((2, 2, 16, 16), np.log(0.01), np.float32)
    parts[:, part] = np.log(0.99)
    return parts


@pytest.fixture
def shares(tmp_path: Path) -> list[TeacherCache]:
    """A cache of which each share has one photo."""
    caches = [TeacherCache(tmp_path, KEY, shard=Shard(number, 2)) for number in (1, 2)]
    for part, cache in enumerate(caches):
        cache.append(f"photo-{part}", entry(target(part), PLACEMENT, PHOTO))
    return caches


def part_of(cache: TeacherCache, name: str) -> int:
    return int(cache.read(name, PHOTO)[0][0, :, 0, 0].argmax())


def test_a_reader_sees_all_files(shares: list[TeacherCache], tmp_path: Path) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == ["targets-1-of-2.bin", "targets-2-of-2.bin"]
    cache = TeacherCache(tmp_path, KEY)
    assert cache.names == ["photo-0", "photo-1"] and stored_key(tmp_path) == KEY
    assert [part_of(cache, name) for name in cache.names] == [0, 1]
    assert shares[0].names == ["photo-0"], "the other file did not exist yet"
    shares[0].refresh()
    assert shares[0].has("photo-1", PHOTO)


def test_a_file_of_all_photos_and_shares_go_together(shares: list[TeacherCache], tmp_path: Path) -> None:
    whole = TeacherCache(tmp_path, KEY)
    whole.append("photo-2", entry(target(0), PLACEMENT, PHOTO))
    assert TeacherCache(tmp_path, KEY, shard=Shard(1, 2)).names == ["photo-0", "photo-1", "photo-2"]


def test_a_torn_file_costs_its_last_entry_only(shares: list[TeacherCache], tmp_path: Path) -> None:
    shares[0].append("photo-2", entry(target(1), PLACEMENT, PHOTO))
    os.truncate(shares[0].path, shares[0].path.stat().st_size - 3)
    with pytest.warns(UserWarning, match=r"targets-1-of-2\.bin: is broken after 1 entries"):
        cache = TeacherCache(tmp_path, KEY)
    assert cache.names == ["photo-0", "photo-1"]
    with pytest.warns(UserWarning, match="is broken after 1 entries"):
        again = cache.share(Shard(1, 2))
    again.append("photo-2", entry(target(1), PLACEMENT, PHOTO))
    assert part_of(TeacherCache(tmp_path, KEY), "photo-2") == 1


def test_an_intact_entry_of_another_file_counts(shares: list[TeacherCache], tmp_path: Path) -> None:
    """As where a photo was changed, and one share has its target already."""
    whole = TeacherCache(tmp_path, KEY)
    whole.append("photo-1", entry(target(0), PLACEMENT, "ef" * 32))
    cache = TeacherCache(tmp_path, KEY)
    assert cache.has("photo-1", PHOTO) and part_of(cache, "photo-1") == 1
    assert cache.has("photo-1", "ef" * 32)
    with pytest.raises(CacheError, match="photo-1' was made from another photo"):
        cache.read("photo-1", "00" * 32)


def test_a_file_of_another_teacher_counts_as_empty(shares: list[TeacherCache], tmp_path: Path) -> None:
    other = cache_key("00" * 32, Geometry(64))
    with pytest.warns(UserWarning, match="was made by another teacher"):
        assert TeacherCache(tmp_path, other).names == []
    with pytest.warns(UserWarning, match="was made by another teacher"):
        TeacherCache(tmp_path, other, shard=Shard(2, 2)).append("photo-9", entry(target(0), PLACEMENT, PHOTO))
    with pytest.raises(
        CacheError, match=r"1-of-2.bin and .*2-of-2.bin have targets of different teachers.*remove the older"
    ):
        stored_key(tmp_path)
