"""Reading of every kind of map that the layouts use, and clear errors for bad files."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from m2fp_kd.data.layouts import Record, ccp_records, m2fp_records
from m2fp_kd.data.reading import LabelError, read_map, read_record
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.geometry import PhotoError

CIHP = LABEL_SETS["cihp"]


@pytest.fixture
def record(m2fp_folder: Path) -> Record:
    return m2fp_records(m2fp_folder, "Training")[0]


def test_a_labelled_photo(record: Record) -> None:
    photo = read_record(record, CIHP)
    assert photo.image.shape == (48, 64, 3) and photo.image.dtype == np.uint8
    assert photo.parts.shape == (48, 64) and photo.parts.dtype == np.uint8
    assert photo.persons.dtype == photo.instances.dtype == np.int32
    assert np.array_equal(photo.parts > 0, photo.persons > 0)


def test_an_unlabelled_photo(record: Record) -> None:
    photo = read_record(Record("a", record.image), CIHP)
    assert photo.parts is None and photo.persons is None and photo.instances is None


def test_truncated_photo_is_named(record: Record) -> None:
    content = record.image.read_bytes()
    record.image.write_bytes(content[: len(content) // 2])
    with pytest.raises(PhotoError, match=record.image.name):
        read_record(record, CIHP)


@pytest.mark.parametrize("kind", ["categories", "persons", "instances"])
def test_map_of_another_size_is_named(record: Record, kind: str) -> None:
    path = getattr(record, kind)
    Image.new("L", (64, 47)).save(path)
    with pytest.raises(LabelError, match=rf"{path}.*64x47 but its photo .*64x48"):
        read_record(record, CIHP)


def test_label_of_a_photo_with_exif_rotation_must_be_upright(record: Record) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated, shown upright
    Image.open(record.image).save(record.image, exif=exif)
    with pytest.raises(LabelError, match=r"64x48 but .*48x64 \(upright\)"):
        read_record(record, CIHP)


def test_value_outside_the_label_set_is_named(record: Record) -> None:
    parts = np.zeros((48, 64), np.uint8)
    parts[3, 5], parts[0, 0] = 20, 255
    Image.fromarray(parts).save(record.categories)
    with pytest.raises(ValueError, match=rf"{record.categories}: label 20 outside 'cihp'"):
        read_record(record, CIHP)


def test_colour_label_and_broken_label_are_named(record: Record) -> None:
    Image.new("RGB", (64, 48)).save(record.categories)
    with pytest.raises(LabelError, match="one channel of indices, this file is RGB"):
        read_record(record, CIHP)
    Image.effect_noise((64, 48), 50).save(record.categories)
    record.categories.write_bytes(record.categories.read_bytes()[:-500])
    with pytest.raises(LabelError, match="not a readable label map"):
        read_record(record, CIHP)


BITMAP = struct.pack("<2sIHHI", b"BM", 70, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 20_000, 20_000, 1, 8, *[0] * 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(BITMAP, "has 20000 x 20000 pixels, 400 megapixels"), (b"P5 4 p0 255 ", "not a readable label map")],
    ids=["of a size that no photo has", "with a letter in its size"],
)
def test_a_map_with_a_broken_head_is_named(record: Record, content: bytes, message: str) -> None:
    record.categories.write_bytes(content)
    with pytest.raises(LabelError, match=f"{record.categories}: {message}"):
        read_record(record, CIHP)


def test_a_map_may_have_as_many_pixels_as_a_photo(tmp_path: Path) -> None:
    """Pillow's own limit is 179 megapixels."""
    Image.new("L", (60_000, 3_000)).save(tmp_path / "large.png")
    assert read_map(tmp_path / "large.png").shape == (3_000, 60_000)


def test_palette_and_16_bit_maps_are_indices(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = Image.fromarray(values)
    palette.putpalette(CIHP.palette())
    palette.save(tmp_path / "palette.png")
    Image.fromarray(values.astype(np.uint16) * 1000).save(tmp_path / "deep.png")
    assert np.array_equal(read_map(tmp_path / "palette.png"), values)
    assert np.array_equal(read_map(tmp_path / "deep.png"), values.astype(int) * 1000)


def test_matlab_labels(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "label.mat"
    clothing = replace(record, categories=path, persons=None, instances=None)
    savemat(path, {"groundtruth": np.full((48, 64), 58, np.uint8)})
    assert (read_record(clothing, LABEL_SETS["ccp"]).parts == 58).all()
    savemat(path, {"tags": np.zeros((1, 3))})
    with pytest.raises(LabelError, match="no variable 'groundtruth'"):
        read_record(clothing, LABEL_SETS["ccp"])
    path.write_bytes(b"nothing")
    with pytest.raises(LabelError, match="not a readable MATLAB file"):
        read_record(clothing, LABEL_SETS["ccp"])


def test_real_photos(real_data) -> None:
    for record in m2fp_records(real_data("cihp-mini"), "Training")[:3]:
        photo = read_record(record, CIHP)
        assert photo.parts.shape == photo.image.shape[:2]
    records = ccp_records(real_data("clothing-co-parsing"))
    assert read_record(records[0], LABEL_SETS["ccp"]).parts.max() < 59


def grey_png(path: Path, values: np.ndarray, bits: int) -> None:
    """Write an index map as a grey PNG of 1, 2 or 4 bits, as Pillow itself cannot."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    lines = [b"\0" + int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8)) for row in rows]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(lines))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_maps_of_few_bits_are_indices(tmp_path: Path, bits: int) -> None:
    values = np.arange(15).reshape(3, 5) % 2**bits
    grey_png(tmp_path / "a.png", values, bits)
    found = read_map(tmp_path / "a.png")
    assert np.array_equal(found, values) and found.dtype == np.uint8


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_maps_of_few_bits_are_indices(tmp_path: Path, bits: int) -> None:
    values = (np.arange(15).reshape(3, 5) % 2**bits).astype(np.uint8)
    image = Image.fromarray(values)
    image.putpalette(CIHP.palette())
    image.save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(read_map(tmp_path / "a.png"), values)


@pytest.mark.parametrize("lossy", ["JPEG", "WEBP"])
def test_lossy_files_are_refused_by_content(record: Record, lossy: str) -> None:
    Image.new("L", (64, 48), 5).save(record.categories, format=lossy)
    with pytest.raises(LabelError, match=rf"{record.categories}: this file is {lossy}, whose compression changes ind"):
        read_record(record, CIHP)


def test_unlabelled_pixels_of_id_maps_are_no_person(record: Record) -> None:
    ids = np.ones((48, 64), np.uint8)
    ids[0] = 255  # VOC outlines its objects with 255
    for path in (record.persons, record.instances):
        Image.fromarray(ids).save(path)
    photo = read_record(record, CIHP)
    assert photo.persons.dtype == photo.instances.dtype == np.int32
    assert not photo.persons[0].any() and not photo.instances[0].any() and (photo.persons[1:] == 1).all()
    Image.fromarray(ids.astype(np.uint16)).save(record.instances)
    assert (read_record(record, CIHP).instances[0] == 255).all(), "255 is an id of its own among 16 bits"
