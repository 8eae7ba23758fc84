"""Files are written completely or not at all."""

import errno
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.files import (
    atomic_folder,
    atomic_path,
    file_sha256,
    find_photos,
    read_made_from,
    safetensors_metadata,
    write_index_png,
)
from m2fp_kd.runtime.result_files import recorded
from tests.hostile.disk import full


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "file.npz"
    with atomic_path(target) as temporary:
        np.savez(temporary, x=np.arange(3))
        assert temporary.name == target.name and not target.exists()
    assert np.load(target)["x"].tolist() == [0, 1, 2]
    assert list(target.parent.iterdir()) == [target], "nothing is left beside it"


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file(tmp_path, failure):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(type(failure)), atomic_path(target) as temporary:
        temporary.write_text("half of the ne")
        raise failure
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_takes_the_place_of_the_former_one(tmp_path):
    target = tmp_path / "maps"
    for name in ("former", "new"):
        with atomic_folder(target) as temporary:
            (temporary / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(OSError), atomic_folder(target) as temporary:
        raise OSError("disk full")
    assert [path.name for path in target.iterdir()] == ["new"] and list(tmp_path.iterdir()) == [target]


def test_the_next_call_removes_what_a_killed_process_left(tmp_path):
    program = f"""
import os
from m2fp_kd.runtime.files import atomic_path
with atomic_path({str(tmp_path / "file")!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    (left,) = tmp_path.iterdir()
    other = tmp_path / f".writing-{platform.node()}.{os.getpid()}.x"  # of a process that runs
    elsewhere = tmp_path / ".writing-another-machine.example.1.x"
    other.mkdir(), elsewhere.mkdir()
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, other, tmp_path / "file"]) and not left.exists()


@pytest.mark.parametrize("named", [True, False])
def test_an_error_names_the_file_and_not_its_temporary_one(tmp_path, named):
    target = tmp_path / "map.png"
    with pytest.raises(OSError) as error, atomic_path(target) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device", *([str(temporary)] if named else []))
    assert error.value.filename == str(target) and error.value.errno == errno.ENOSPC
    with pytest.raises(FileNotFoundError) as error, atomic_path(target):
        (tmp_path / "another").read_bytes()
    assert error.value.filename == str(tmp_path / "another")


def test_a_librarys_own_error_on_a_full_disk_becomes_the_systems(tmp_path):
    target = tmp_path / "model.xml"
    with full(), pytest.raises(OSError) as error, atomic_path(target):
        raise RuntimeError("iostream error")
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(target))
    assert isinstance(error.value.__cause__.__cause__, RuntimeError) and not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="shapes differ"), atomic_path(target):
        raise RuntimeError("shapes differ")


def test_a_part_map_records_its_origin(tmp_path):
    labels, part_map = LABEL_SETS["cihp"], np.zeros((2, 3), np.uint8)
    write_index_png(tmp_path / "with.png", part_map, labels, "abc")
    write_index_png(tmp_path / "without.png", part_map, labels)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    assert [read_made_from(tmp_path / f"{name}.png") for name in ("with", "without", "broken", "gone")] == [
        "abc", None, None, None,
    ]  # fmt: skip


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [60, 20])  # Pillow warns beyond its limit and refuses beyond twice its limit
def test_the_origin_of_a_large_part_map_is_read(tmp_path, monkeypatch, limit):
    write_index_png(tmp_path / "map.png", np.zeros((8, 8), np.uint8), LABEL_SETS["cihp"], "abc")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert read_made_from(tmp_path / "map.png") == "abc"


def test_an_index_png_holds_the_indices_and_the_palette(tmp_path):
    labels = LABEL_SETS["cihp"]
    part_map = np.array([[0, 1, 19], [255, 5, 0]], np.uint8)
    write_index_png(tmp_path / "map.png", part_map, labels)
    with Image.open(tmp_path / "map.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), part_map)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB"))[0, 2], labels.colours[19])


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_photos_are_found_below_a_folder_without_hidden_ones(tmp_path):
    for name in ("b.JPG", "sub/a.png", ".writing-x/c.jpg", "sub/.d.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in find_photos(tmp_path)] == ["b.JPG", "sub/a.png"]


def _safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def test_the_metadata_of_a_safetensors_file(tmp_path):
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(_safetensors(json.dumps({"__metadata__": {"backbone": "tiny"}}).encode()) + b"tensors")
    assert safetensors_metadata(path) == {"backbone": "tiny"}


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (_safetensors(b"{}"), "has no card"),
        (_safetensors(b"[1]"), "is not a safetensors file"),
        (_safetensors(b'{"__metadata__": ["a card"]}'), "is not a safetensors file"),
        (_safetensors(b"[" * 100_000), "is not a safetensors file"),
        (b"\xff" * 100, "is not a safetensors file"),  # a header of 2^64 bytes
        (b"", "is not a safetensors file"),
    ],
)
def test_a_file_without_metadata_is_named(tmp_path, content, cause):
    path = tmp_path / "some.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"some\.safetensors {cause}"):
        safetensors_metadata(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_origin_of_a_result_of_any_size_is_read(suffix, tmp_path):
    """Pillow alone refuses more than 179 megapixels, such as the mosaic of a photo of 108."""
    path, size = tmp_path / f"result{suffix}", struct.pack(">II", 24_000, 9_000)
    if suffix == ".png":
        write_index_png(path, np.zeros((8, 8), np.uint8), LABEL_SETS["cihp"], "abc")
        content = bytearray(path.read_bytes())
        content[16:24] = size
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        Image.new("RGB", (8, 8)).save(path, comment="abc")
        content = bytearray(path.read_bytes())
        begin = content.index(b"\xff\xc0") + 5
        content[begin : begin + 4] = size[6:] + size[2:4]
    path.write_bytes(content)
    assert recorded(path) == "abc"
