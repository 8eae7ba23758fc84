"""Hostile files: readable pixels are read whatever surrounds them, and the rest is refused by one kind of error."""

import os
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.photo_file import LONGEST_SIDE, PhotoError, PhotoSizeError, look_ahead, opened
from tests.hostile import images

WHOLE, BROKEN, IN_PIECES = dict(images.whole()), dict(images.broken()), dict(images.in_pieces())


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("from_file", [True, False])
def test_hostile_metadata_leaves_the_pixels_readable(tmp_path: Path, name: str, from_file: bool) -> None:
    path = tmp_path / "photo"
    path.write_bytes(WHOLE[name])
    photo = read_photo(path if from_file else WHOLE[name])
    kind = name.split(" in ")[1] if " in " in name else "PNG"
    assert np.array_equal(photo, read_photo(images.encoded(images.pixels(), kind)))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_photo_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(BROKEN[name])
    with pytest.raises(PhotoError, match=r"photo\.jpg: cannot be read as a photo \(.+\)$"):
        read_photo(path)


def test_no_program_is_run_for_a_postscript_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is a language of programs, for which Pillow would start Ghostscript, whatever the file's name is."""
    (tmp_path / "photo.jpg").write_bytes(images.encoded(images.pixels(), "EPS"))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was started"))
    with pytest.raises(PhotoError, match=r"photo\.jpg: is a PostScript file; convert it to PNG"):
        read_photo(tmp_path / "photo.jpg")


def test_a_compressed_text_takes_no_memory() -> None:
    data = images.long_text(b"zTXt", 200_000_000)
    tracemalloc.start()
    read_photo(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) < 300_000 and peak < 4_000_000


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_the_orientation_in_a_text_is_kept_and_a_bomb_under_its_name_is_not(kind: bytes) -> None:
    xmp = b'<x tiff:Orientation="6"/>'
    head = b"XML:com.adobe.xmp\0\0\0\0\0"
    plain = images.with_chunk(images.encoded(images.pixels()), b"iTXt", head + xmp)
    assert read_photo(plain).shape == (40, 30, 3), "upright"
    name = {b"zTXt": b"Raw profile type exif\0\0", b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0"}[kind]
    bomb = images.with_chunk(plain, kind, name + images.zlib.compress(b"a" * images.TWO_MEGABYTES))
    assert read_photo(bomb).shape[2] == 3


def test_the_limit_of_pixels_is_ours_and_is_checked_before_decoding() -> None:
    huge = images.png_claiming(20_000, 15_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow warns of a decompression bomb
        with pytest.raises(PhotoSizeError, match="has 20000 x 15000 pixels, 300 megapixels, but the limit is 256;"):
            read_photo(huge)
        with pytest.raises(PhotoError, match="truncated"):
            read_photo(huge[:-20], megapixels=301)
        with opened(images.png_claiming(20_000, 10_000)) as image:  # a telephone's 200 megapixels
            assert image.size == (20_000, 10_000)
    assert Image.MAX_IMAGE_PIXELS is not None, "other users of Pillow keep its limit"


def test_a_side_has_a_limit() -> None:
    with pytest.raises(PhotoSizeError, match=f"a side may have {LONGEST_SIDE} at most"):
        read_photo(images.flat_png(1, LONGEST_SIDE + 1))
    assert read_photo(images.flat_png(1, LONGEST_SIDE)).shape == (LONGEST_SIDE, 1, 3)


def test_what_is_no_file_is_an_error_of_that_photo(tmp_path: Path) -> None:
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    with pytest.raises(PhotoError, match=r"loop\.jpg: cannot be read as a photo \(Too many levels"):
        read_photo(loop)
    with pytest.raises(PhotoError, match=r"cannot be read as a photo \(Is a directory\)"):
        read_photo(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "gone.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="not a file"):
        read_photo(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("name", IN_PIECES)
def test_a_file_of_millions_of_pieces_is_refused_with_little_memory(name: str) -> None:
    data = IN_PIECES[name]
    tracemalloc.start()
    with pytest.raises(PhotoError, match=r"more than \d+ (pieces|chunks|scans)"):
        read_photo(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.1 * len(data) + 40_000_000


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_read_as_its_first_picture(kind: str) -> None:
    np.testing.assert_allclose(read_photo(images.animated(kind, 3)), [[[0, 9, 99]] * 40] * 30, atol=9)


def test_scans_behind_the_picture_do_not_count() -> None:
    data = images.encoded(images.pixels(), "JPEG")
    np.testing.assert_array_equal(read_photo(data + b"\xff\xda" * 1000), read_photo(data))


@pytest.mark.parametrize("name", WHOLE)
def test_a_look_ahead_gives_the_size(tmp_path: Path, name: str) -> None:
    (tmp_path / "photo").write_bytes(WHOLE[name])
    with opened(tmp_path / "photo") as image:
        assert look_ahead(tmp_path / "photo") == image.width * image.height / 1e6


def test_a_look_ahead_leaves_errors_to_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("a text")
    for name in ("gone", "pipe", "text", "."):
        assert look_ahead(tmp_path / name) == 0


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system reads nothing ahead")
def test_a_look_ahead_lets_the_system_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advised = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *rest: advised.append((os.fstat(file).st_size, *rest)))
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    look_ahead(tmp_path / "photo.jpg")
    assert advised == [(7, 0, 0, os.POSIX_FADV_WILLNEED)]
