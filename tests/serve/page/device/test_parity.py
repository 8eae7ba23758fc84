"""Photos parsed in the browser and by the Python runtime."""

import base64
import io
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.runtime.parser import Parser
from tests.serve.conftest import encoded

DATA = Path(os.environ.get("M2FP_KD_DATA", Path(__file__).parents[5] / "shared" / "data"))
PHOTOS = 20

PARSE = """async (photos) => {
    const [{ parse }, { blobOf }] = await Promise.all(["device", "dom"].map((name) => import(`/static/${name}.js`)));
    const found = [];
    for (const [place, photo] of photos.entries()) {
        const blob = blobOf(photo);
        const { map } = await parse({ address: place, blob }, "lite", "map", new AbortController().signal, () => {});
        found.push(btoa(Array.from(new Uint8Array(await map.arrayBuffer()), (b) => String.fromCharCode(b)).join("")));
    }
    return found;
}"""


def real_photos() -> list[bytes]:
    """Photos of two data sets, of several sizes; drawn ones where the data is not at hand."""
    files = [
        *islice(sorted((DATA / "pascal-person-part" / "Testing" / "Images").glob("*.jpg")), 3, 200, 20),
        *islice(sorted((DATA / "cihp-mini" / "Training" / "Images").glob("*.jpg")), 0, 60, 12),
    ]
    return [file.read_bytes() for file in files] or [encoded(draw_scene(seed, 320, (1, 3)).image) for seed in range(15)]


def photos() -> list[bytes]:
    """Twenty photos, five of them as cameras and editors write them: turned, grey, transparent, large, narrow."""
    plain = real_photos()[: PHOTOS - 5]
    first, *_ = (Image.open(io.BytesIO(data)).convert("RGB") for data in plain)
    exif = Image.Exif()
    exif[0x0112] = 6
    clear = first.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(first.size))
    return [
        *plain,
        encoded(first, "JPEG", exif=exif),
        encoded(first.convert("L"), "PNG"),
        encoded(clear, "PNG"),
        encoded(first.resize((1600, 1200)), "JPEG", quality=95),
        encoded(first.crop((0, 0, first.width // 3, first.height)), "WEBP", lossless=True),
    ]


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999), ("int8", 0.995)])
def test_part_maps_are_those_of_the_runtime(
    precision: str, least: float, exported: Callable[..., Path], open_hosted: Callable[..., Page]
) -> None:
    folder = exported(precision, 256)
    page = open_hosted(folder)
    parser = Parser.load(folder.parent / "artefact", "onnxruntime", 1)
    given = photos()
    assert len(given) == PHOTOS
    found = page.evaluate(PARSE, [base64.b64encode(photo).decode() for photo in given])
    same, pixels, shares, parts = 0, 0, [], set()
    for photo, png in zip(given, found, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(png))) as image:
            there = np.asarray(image)
        here = parser.part_map(photo)
        assert there.shape == here.shape
        same, pixels = same + (there == here).sum(), pixels + here.size
        shares.append(float((there == here).mean()))
        parts |= set(np.unique(here))
    print(f"{precision}: {same / pixels:.5f} of all pixels, worst photo {min(shares):.5f}")
    assert len(parts) > 2, "the photos show people"
    assert same / pixels >= least, sorted(shares)
