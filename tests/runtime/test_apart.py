"""A photo that is read in a process of its own is the same photo, and fails in the same way."""

import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.apart import read_apart
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.photo_file import PhotoError

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8))


def webp() -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    PHOTO.save(stream, "WEBP", lossless=True, exif=exif)
    return stream.getvalue()


def test_the_photo_is_the_same() -> None:
    found = read_apart(webp(), 60)
    assert found.shape == (40, 30, 3)
    np.testing.assert_array_equal(found, read_photo(webp()))


def test_a_broken_file() -> None:
    with pytest.raises(PhotoError, match="cannot be read"):
        read_apart(webp()[:500], 60)


def test_the_time_limit() -> None:
    with pytest.raises(TimeoutError):
        read_apart(webp(), 0.001)
