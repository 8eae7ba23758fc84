"""The generators make what they name."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hostile import disk, images, killing, label_maps, names


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_full_disk_takes_the_first_bytes_only(tmp_path: Path) -> None:
    with disk.full(10), pytest.raises(OSError):
        (tmp_path / "file").write_bytes(bytes(11))
    assert (tmp_path / "file").stat().st_size == 10
    (tmp_path / "file").write_bytes(bytes(11))


def test_a_process_is_killed_before_its_nth_change_of_a_folder(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path.parent / "elsewhere").write_text("a")
        (tmp_path / "one").write_text("b")
        (tmp_path / "one").read_text()
        (tmp_path / "one").rename(tmp_path / "two")

    assert killing.killed(work, tmp_path, 1) and killing.whole_files(tmp_path) == {}
    assert killing.killed(work, tmp_path, 2) and killing.whole_files(tmp_path) == {"one": b"b"}
    assert not killing.killed(work, tmp_path, 3) and killing.whole_files(tmp_path) == {"two": b"b"}


def test_a_flat_png_is_a_bomb() -> None:
    data = images.flat_png(1, 49_000_000)
    assert len(data) < 100_000
    assert len(images.flat_png(7000, 7000)) < 7_000
    assert not decoded(images.flat_png(33, 2000)).any() and decoded(images.flat_png(33, 2000)).shape == (2000, 33)


@pytest.mark.parametrize(
    "data",
    [
        images.segments(100),
        images.filling(100),
        images.comments(100),
        images.chunks(100, b"tEXt"),
        images.chunks(100, b"IDAT"),
        images.chunks(100, b"prVt"),
        images.scans(100, 100),
        images.interlaced(33, 20),
        *(images.animated(kind, 3) for kind in ("GIF", "WEBP", "PNG")),
    ],
)
def test_many_pieces_hide_no_pixels(data: bytes) -> None:
    assert decoded(data).size


@pytest.mark.parametrize("kind", images.SEEDS)
def test_every_seed_is_a_whole_photo(kind: str) -> None:
    with Image.open(io.BytesIO(images.SEEDS[kind]())) as image:
        image.load()


def test_mutations_depend_on_the_generator_alone() -> None:
    seed = images.SEEDS["png"]()
    first, second = (images.mutated(seed, np.random.default_rng(3)) for _ in range(2))
    assert first == second != seed


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_png_stores_indices(bits: int) -> None:
    assert np.array_equal(decoded(label_maps.grey_png(label_maps.INDICES, bits)), label_maps.INDICES)


@pytest.mark.parametrize(("bits", "scaled"), [(1, 1), (2, 85), (4, 17)])
def test_pillow_scales_few_bits(bits: int, scaled: int) -> None:
    assert np.array_equal(decoded(label_maps.grey_png(label_maps.INDICES, bits)), label_maps.INDICES * scaled)


def test_label_maps_that_mislead() -> None:
    assert decoded(label_maps.one_too_high(label_maps.INDICES)).min() == 1
    assert 255 in decoded(label_maps.outlined(label_maps.INDICES))
    assert len(np.unique(decoded(label_maps.lossy(np.kron(label_maps.INDICES, np.eye(7, dtype=np.uint8)))))) > 2


@pytest.mark.parametrize("kind", names.NAMES)
def test_names_can_be_created(tmp_path: Path, kind: str) -> None:
    path = names.create(tmp_path, names.NAMES[kind], b"data")
    assert path is None or path.read_bytes() == b"data"
