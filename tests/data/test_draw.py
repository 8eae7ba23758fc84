"""The contact sheet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from m2fp_kd.data.draw import main
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.teacher_cache import TeacherCache, entry
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.runtime.geometry import Geometry, place, read_photo


def draw(folder: Path, *more: str) -> Image.Image:
    out = folder / "sheet.png"
    main(["--root", str(folder), "--labels", "cihp", "--count", "2", "--size", "64", "--out", str(out), *more])
    return Image.open(out)


def test_sheet_shows_photos_and_labels(m2fp_folder: Path) -> None:
    sheet = draw(m2fp_folder)
    assert sheet.size == (6 * (128 + 4) - 4, 64)
    pixels = np.asarray(sheet)
    assert not np.array_equal(pixels[:, :64], pixels[:, 64:128])


def test_sheet_shows_the_cached_teacher(m2fp_folder: Path, scene_log_parts: Callable[..., np.ndarray]) -> None:
    cache = TeacherCache(m2fp_folder / "cache", "00" * 32)
    for record in m2fp_records(m2fp_folder, "Training"):
        _, placement = place(read_photo(record.image), Geometry(128))
        target = scene_log_parts(0, tuple(range(20)), 0.1, 32)
        cache.append(record.name, entry(target, placement, file_sha256(record.image)))
    assert draw(m2fp_folder, "--cache", str(cache.path.parent)).size == (6 * (192 + 4) - 4, 64)
