"""Photos on the canvas, read with and without an array of all pixels."""

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import Geometry, Placement, read_photo
from m2fp_kd.runtime.mosaic import mosaic
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.photo_file import PhotoError, PhotoSizeError
from m2fp_kd.runtime.placed import Placed
from tests.hostile import images

GEOMETRY = Geometry(64)


def photo_file(folder, name, size=(90, 60), **options):
    grain = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(grain).resize(size).save(folder / name, **options)
    return folder / name


def assert_same(one: Placed, other: Placed) -> None:
    np.testing.assert_array_equal(one.canvas, other.canvas)
    assert one.placement == other.placement


@pytest.mark.parametrize("orientation", range(10))
def test_a_file_is_placed_like_its_array(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo_file(tmp_path, "photo.jpg", exif=exif)
    assert_same(Placed.of_file(path, GEOMETRY), Placed.of(path, GEOMETRY))


def test_every_kind_of_photo_is_placed_like_its_array(tmp_path):
    for _, data in images.whole():
        (tmp_path / "photo").write_bytes(data)
        assert_same(Placed.of_file(tmp_path / "photo", GEOMETRY), Placed.of(data, GEOMETRY))


def test_broken_and_large_photos_are_refused(tmp_path):
    for _, data in images.broken():
        (tmp_path / "photo").write_bytes(data)
        with pytest.raises(PhotoError, match="photo"):
            Placed.of_file(tmp_path / "photo", GEOMETRY)
    with pytest.raises(PhotoSizeError, match="limit"):
        Placed.of_file(photo_file(tmp_path, "photo.jpg"), GEOMETRY, megapixels=0.001)


@pytest.mark.parametrize("draft", [False, True])
def test_the_mosaic_of_a_large_photo_needs_only_what_it_shows(artefact, tmp_path, draft):
    parser = Parser.load(artefact())
    path = photo_file(tmp_path, "photo.jpg", (2500, 1250), quality=95)
    whole, placed = parser(path), parser(Placed.of_file(path, parser.geometry, draft=draft))
    assert placed.photo.shape == (512, 1024, 3) and placed.part_map.shape == (1250, 2500)
    assert placed.placement == whole.placement
    difference = np.abs(np.asarray(placed.mosaic(), float) - np.asarray(whole.mosaic(), float))
    assert difference.mean() < (0.5 if draft else 1e-9)
    assert parser(Placed.of_file(path, parser.geometry, mosaic=False)).photo.shape == (32, 64, 3)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_draft_keeps_the_size_and_the_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo_file(tmp_path, "photo.jpg", (2101, 1051), exif=exif, quality=95)
    drafted, whole = Placed.of_file(path, GEOMETRY, draft=True), Placed.of_file(path, GEOMETRY)
    source = (1051, 2101) if orientation == 1 else (2101, 1051)
    assert drafted.placement == whole.placement == Placement(source, whole.placement.content, (64, 64))
    difference = np.abs(drafted.canvas.astype(int) - whole.canvas)
    assert 0 < difference.mean() < 1, "the decoder has reduced the photo, which hardly changes the canvas"


def test_a_photo_that_is_no_larger_than_twice_the_canvas_is_not_reduced(tmp_path):
    path = photo_file(tmp_path, "photo.jpg", (1100, 500))
    assert_same(Placed.of_file(path, GEOMETRY, draft=True), Placed.of(path, GEOMETRY))


def test_mosaics_refuse_a_photo_of_neither_size():
    part_map = np.zeros((2000, 1000), np.uint8)
    for size in ((1000, 500), (1024, 1024)):
        with pytest.raises(ValueError, match="size"):
            mosaic(np.zeros((*size, 3), np.uint8), part_map, LABEL_SETS["cihp"])


def test_arrays_and_files_of_one_photo_have_one_placement(tmp_path):
    path = photo_file(tmp_path, "photo.png")
    assert_same(Placed.of(read_photo(path), GEOMETRY), Placed.of_file(path, GEOMETRY))
