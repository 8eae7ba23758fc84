"""Any photo in, upright RGB on a canvas, and back to the photo's own size."""

import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.geometry import (
    PAD_RGB,
    Geometry,
    PhotoError,
    Placement,
    place,
    read_photo,
    restore_dense,
    restore_map,
)

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA", "YCbCr", "LAB", "I;16", "I", "F"])
def test_any_mode_becomes_rgb(mode):
    grey = Image.fromarray(RGB).convert("L")
    image = grey if mode in ("I;16", "I", "F") else Image.fromarray(RGB)
    image = Image.merge("LAB", [grey] * 3) if mode == "LAB" else image.convert(mode)
    photo = read_photo(image)
    assert photo.shape == RGB.shape and photo.dtype == np.uint8


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "image", "array"])
def test_every_kind_of_source(tmp_path, kind):
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path)
    sources = {"path": path, "string": str(path), "bytes": path.read_bytes(), "image": Image.open(path), "array": RGB}
    np.testing.assert_array_equal(read_photo(sources[kind]), RGB)


def test_sixteen_bit_grey_keeps_its_brightness():
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(4, axis=0)
    data = saved(Image.fromarray(ramp), "PNG")
    np.testing.assert_array_equal(read_photo(data), np.arange(256)[None, :, None].repeat(4, 0).repeat(3, 2))


@pytest.mark.parametrize("brightest", [1, 255])
def test_floating_point_grey_keeps_its_brightness(brightest):
    ramp = np.linspace(0, brightest, 256, dtype=np.float32)[None].repeat(4, axis=0)
    photo = read_photo(saved(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_array_equal(photo, np.arange(256)[None, :, None].repeat(4, 0).repeat(3, 2))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = Image.fromarray(RGB)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright.transpose(turn) if turn is not None else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read_photo(saved(stored, "PNG", exif=exif)), RGB)


@pytest.mark.parametrize("kind", ["RGBA", "P"])
def test_transparent_pixels_are_white_whatever_colour_hides_there(kind):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (200, 30, 60, 255)
    photo = read_photo(saved(Image.fromarray(rgba).convert(kind), "PNG"))
    np.testing.assert_array_equal(photo[2:], 255)
    np.testing.assert_allclose(photo[:2].astype(int), np.broadcast_to((200, 30, 60), (2, 4, 3)), atol=25)


def test_cmyk_jpeg_has_the_colours_of_the_rgb_one():
    smooth = Image.fromarray(RGB[:2, :2]).resize((64, 64), Image.Resampling.BICUBIC)
    photo = read_photo(saved(smooth.convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(photo.astype(int), np.asarray(smooth).astype(int), atol=24)


def test_grey_arrays_become_rgb_and_others_are_refused():
    np.testing.assert_array_equal(read_photo(RGB[..., 0]), RGB[..., :1].repeat(3, axis=2))
    for wrong in (RGB.astype(np.float32), RGB[None], RGB[..., :2], RGB[:0]):
        with pytest.raises(PhotoError, match="uint8"):
            read_photo(wrong)


def test_a_truncated_file_is_named(tmp_path):
    for kind in ("JPEG", "PNG", "WEBP"):
        path = tmp_path / f"cut.{kind.lower()}"
        data = saved(Image.fromarray(RGB), kind)
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(PhotoError, match=path.name):
            read_photo(path)


def test_a_file_that_is_not_a_photo_is_named(tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear all,")
    with pytest.raises(PhotoError, match=r"letter\.jpg"):
        read_photo(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError):
        read_photo(b"")


def test_the_image_that_was_passed_is_left_alone():
    image = Image.fromarray(RGB).convert("P")
    read_photo(image)
    assert image.mode == "P"


@pytest.mark.parametrize(
    ("shape", "fixed", "content", "canvas"),
    [
        ((480, 640), True, (192, 256), (256, 256)),
        ((640, 480), True, (256, 192), (256, 256)),
        ((480, 640), False, (192, 256), (192, 256)),
        ((333, 500), False, (170, 256), (192, 256)),
        ((100, 1), True, (256, 3), (256, 256)),
        ((1, 3000), True, (1, 256), (256, 256)),
        ((1, 1), True, (256, 256), (256, 256)),
    ],
)
def test_a_photo_is_placed_at_the_top_left(shape, fixed, content, canvas):
    image, placement = place(np.full((*shape, 3), 7, np.uint8), Geometry(256, fixed))
    assert placement == Placement(shape, content, canvas)
    assert image.shape == (*canvas, 3)
    assert (image[: content[0], : content[1]] == 7).all()
    assert (image[content[0] :] == PAD_RGB).all() and (image[:, content[1] :] == PAD_RGB).all()


def test_a_photo_of_the_canvas_size_is_untouched():
    photo = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    canvas, _ = place(photo, Geometry(64))
    np.testing.assert_array_equal(canvas, photo)


@pytest.mark.parametrize("size", [0, -32, 100])
def test_an_invalid_size_names_a_valid_one(size):
    with pytest.raises(ValueError, match="multiple of 32; try"):
        Geometry(size)


@pytest.mark.parametrize("shape", [(480, 640), (77, 30), (1, 9), (3000, 11)])
def test_a_map_comes_back_to_the_photos_size_without_padding(shape):
    _, placement = place(np.zeros((*shape, 3), np.uint8), Geometry(128))
    part_map = np.full(placement.canvas, 9, np.uint8)
    part_map[: placement.content[0], : placement.content[1]] = 4
    restored = restore_map(part_map, placement)
    assert restored.shape == shape and restored.dtype == np.uint8
    assert (restored == 4).all()


def test_enlarged_by_two_a_map_repeats_its_pixels():
    part_map = np.random.default_rng(2).integers(0, 7, (64, 64), np.uint8)
    restored = restore_map(part_map, Placement((128, 128), (64, 64), (64, 64)))
    np.testing.assert_array_equal(restored, part_map.repeat(2, 0).repeat(2, 1))


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="canvas"):
        restore_map(np.zeros((32, 32), np.uint8), Placement((10, 10), (64, 64), (64, 64)))


@pytest.mark.parametrize("stride", [1, 4])
def test_a_linear_ramp_survives_dense_restoring(stride):
    placement = Placement((90, 120), (48, 64), (64, 64))
    centres = (np.arange(64 // stride) + 0.5) * stride  # in canvas pixels
    ramp = np.broadcast_to(centres, (2, 64 // stride, 64 // stride)).astype(np.float32)
    restored = restore_dense(ramp, placement)
    assert restored.shape == (2, 90, 120) and restored.dtype == np.float32
    expected = (np.arange(120) + 0.5) * 64 / 120
    inner = slice(2 * stride, 120 - 4 * stride)
    np.testing.assert_allclose(restored[:, :, inner], np.broadcast_to(expected, (2, 90, 120))[:, :, inner], atol=1e-4)


def test_a_photo_with_broken_exif_is_not_rotated():
    photo = np.zeros((8, 16, 3), np.uint8)
    buffer = io.BytesIO()
    # The orientation is declared as a rational number, but its eight bytes are missing.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x20\0\0\0\0"
    Image.fromarray(photo).save(buffer, "JPEG", exif=exif)
    assert read_photo(buffer.getvalue()).shape == photo.shape
