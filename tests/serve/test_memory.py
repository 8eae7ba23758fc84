"""No photo needs more memory, from decoding to its answer, than its request reserves."""

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.geometry import Placement, read_photo
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import part_map
from m2fp_kd.runtime.persons import find_persons
from m2fp_kd.serve.answers import RETURNS, answer
from m2fp_kd.serve.app import create_app
from m2fp_kd.serve.deadline import Deadline
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.photos import BYTES_OF_PIXEL, BYTES_OF_PIXEL_WITH_PERSONS, BYTES_OF_ROW, decode, size_of
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import LABELS, made_up

PEAK = Path("/proc/self/clear_refs")  # writing 5 to it resets the peak
SIZE = (4000, 3000)
MARGIN = 30_000_000
"""Memory that does not grow with the photo, in bytes."""

pytestmark = pytest.mark.skipif(not os.access(PEAK, os.W_OK), reason="needs a kernel that reports the peak")


def see_through(photo: Image.Image) -> Image.Image:
    photo = photo.copy()
    photo.putalpha(200)
    return photo


def turned(photo: Image.Image, kind: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo, kind, exif=exif, **options)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": encoded,
    "PNG with alpha, turned": lambda photo: turned(see_through(photo), "PNG"),
    "16-bit PNG": lambda photo: encoded(np.asarray(photo.convert("L")).astype(np.uint16)),
    "progressive CMYK JPEG, turned": lambda photo: turned(photo.convert("CMYK"), "JPEG", progressive=True),
    "WebP with alpha": lambda photo: encoded(see_through(photo), "WEBP", method=0),
}


def photo() -> Image.Image:
    return Image.linear_gradient("L").resize(SIZE).convert("RGB")


def resident(what: str) -> int:
    """Memory of this process in bytes: VmRSS now, VmHWM at the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(what))


def peak_of(act: Callable[[], object]) -> int:
    """Peak memory of an action beyond the memory before it, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # otherwise freed memory that glibc keeps would be reused and not counted
    PEAK.write_text("5")
    before = resident("VmRSS")
    act()
    return resident("VmHWM") - before


def peak_of_decoding(data: bytes) -> int:
    return peak_of(lambda: read_photo(data))


def peak_of_request(data: bytes) -> int:
    models, _ = made_up("lite")
    client = create_app(models, UNLIMITED).test_client()
    answers = []
    peak = peak_of(lambda: answers.append(client.post("/api/parse?return=all", data=data)))
    models["lite"].worker.close()
    assert answers[0].status_code == 200 and answers[0].json["mosaic"]
    return peak


@pytest.fixture(scope="module")
def alone() -> Iterator[ProcessPoolExecutor]:
    """A process of its own, because memory left by other tests would be counted."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


def test_a_large_photo_is_read_whole_and_upright():
    upright = np.rot90(np.asarray(photo()), -1)
    deadline = Deadline(time.monotonic(), 60)
    for data, pixels in ((turned(photo(), "PNG"), upright), (encoded(photo()), np.asarray(photo()))):
        np.testing.assert_array_equal(decode(data, size_of(data, UNLIMITED), deadline), pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding(alone, kind):
    pixels = SIZE[0] * SIZE[1]
    most = 18 if "WebP" in kind else 12.1 if "progressive" in kind else 7
    assert alone.submit(peak_of_decoding, KINDS[kind](photo())).result() <= most * pixels + MARGIN


@pytest.mark.parametrize("kind", KINDS)
def test_whole_request(alone, kind):
    data = KINDS[kind](photo())
    assert alone.submit(peak_of_request, data).result() <= size_of(data, UNLIMITED).bytes + MARGIN


def peak_of_forty_persons(size: tuple[int, int]) -> int:
    classes = np.full((40, LABELS.num_parts + 2), -10, np.float32)
    classes[:, LABELS.num_parts] = 10
    masks = np.random.default_rng(0).normal(3, 1, (40, 32, 32)).astype(np.float32)
    placement = Placement(size, (128, 128), (128, 128))
    found = []
    peak = peak_of(lambda: found.extend(find_persons(classes, masks, placement, LABELS.num_parts)))
    assert len(found) == 40 and found[0].mask.shape == size and found[0].area == found[0].mask.sum() > 1_000_000
    return peak


def test_the_masks_of_many_persons_are_small(alone):
    height, width = size = (1500, 1500)
    persons = alone.submit(peak_of_forty_persons, size).result()
    of_photo_and_map = 4
    assert persons <= (BYTES_OF_PIXEL_WITH_PERSONS - of_photo_and_map) * height * width + MARGIN / 3


def peak_of_restoring(size: tuple[int, int], parts: int) -> int:
    content = [max(1, 512 * side // max(size)) for side in size]
    logits = np.random.default_rng(0).normal(size=(parts, 128, 128)).astype(np.float32)
    placement = Placement(size, (content[0], content[1]), (512, 512))
    found = []
    peak = peak_of(lambda: found.append(part_map(logits, placement)))
    assert found[0].shape == size and len(np.unique(found[0])) == parts
    return peak


@pytest.mark.parametrize("parts", [7, 59])
@pytest.mark.parametrize("size", [(500, 400), (3000, 4000)], ids=["small", "large"])
def test_a_part_map_at_the_photos_size_takes_little_beyond_itself(alone, size, parts):
    """Noise, where every cell lies on a border."""
    assert alone.submit(peak_of_restoring, size, parts).result() <= size[0] * size[1] + MARGIN / 3


def noise(size: tuple[int, int]) -> Parsing:
    height, width = size
    canvas = [max(1, 512 * side // max(size)) for side in size]
    part_map = np.random.default_rng(0).integers(0, 20, canvas, np.uint8)
    part_map = np.asarray(Image.fromarray(part_map).resize((width, height), Image.Resampling.NEAREST))
    return Parsing(np.zeros((*size, 3), np.uint8), part_map, LABELS, "regions", {}, Placement(size, size, size), {})


def peak_of_noise(size: tuple[int, int]) -> int:
    parsing = noise(size)
    return peak_of(lambda: answer("lite", "id", parsing, {}, set(RETURNS) - {"confidence", "polygons"}))


@pytest.mark.parametrize("size", [(16_384, 164), (1000, 3000)], ids=["narrow", "wide"])
def test_a_part_map_of_noise(alone, size):
    height, width = size
    charged = (BYTES_OF_PIXEL - 4) * height * width + BYTES_OF_ROW * height
    assert alone.submit(peak_of_noise, size).result() <= charged + MARGIN / 3


def test_polygons_of_noise_are_refused():
    with pytest.raises(ApiError, match="polygons of this photo may have 60000: ask for rle or masks") as refused:
        answer("lite", "id", noise((1000, 3000)), {}, {"polygons"})
    assert (refused.value.status, refused.value.code) == (422, "too_detailed")
