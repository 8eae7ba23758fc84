"""Downloads of masks, polygons, confidence, and of results in another label set."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from m2fp_kd.labels import LABEL_SETS, find_translation
from m2fp_kd.runtime.relabel import relabelled
from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, parsing, part_map
from tests.serve.page.actions import HEIGHT, PHONE, WIDTH, choose, give, parsed, too_small_to_tap

PHOTO = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)


def save(page: Page, kind: str) -> tuple[str, bytes]:
    """Press a download's button; return the file's name and content."""
    with page.expect_download() as caught:
        page.click(f"[data-download={kind}]")
    return caught.value.suggested_filename, Path(caught.value.path()).read_bytes()


def test_masks_polygons_and_confidence_of_the_full_model(page):
    give(page)
    expect(page.locator("#confidence")).to_be_hidden()
    parsed(page, lambda: choose(page, "Full"))
    expected = parsing("full", PHOTO)
    name, data = save(page, "masks")
    assert name == "photo-full-masks.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = [f"{part.index:03}_{part.name}.png" for part in expected.parts]
        assert archive.namelist() == [*names, "person_001.png", "person_002.png"]
        for file, one in zip(archive.namelist(), [*expected.parts, *expected.persons], strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(archive.read(file)))), one.mask)
    name, data = save(page, "polygons")
    found = json.loads(data)
    assert name == "photo-full-polygons.json" and all(part["polygons"] for part in found["parts"])
    name, data = save(page, "confidence")
    assert name == "photo-full-confidence.png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), expected.confidence())


def test_files_come_in_the_chosen_label_set_and_the_picture_stays(page):
    answer = give(page)
    assert page.locator("#labels option").all_text_contents() == ["cihp", "atr", "lip", "pascal_person_part"]
    names = page.locator("#legend .name").all_text_contents()
    page.get_by_label("Label set").select_option("atr")
    expected = relabelled(parsing("lite", PHOTO), find_translation(LABELS, "atr"))
    name, data = save(page, "map")
    assert name == "photo-lite-atr-parts.png"
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), expected.part_map)
        assert image.getpalette()[: 3 * 18] == LABEL_SETS["atr"].palette()[: 3 * 18]
    name, data = save(page, "json")
    found = json.loads(data)
    assert (name, found["labels"]) == ("photo-lite-atr-result.json", "atr") and "map" not in found
    assert page.locator("#legend .name").all_text_contents() == names
    page.get_by_label("Label set").select_option("cihp")
    name, data = save(page, "map")
    assert name == "photo-lite-parts.png" and answer["labels"] == "cihp"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), part_map("lite", HEIGHT, WIDTH))


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_the_choices_fit_on_a_phone(open_page, locale):
    page = open_page(locale=locale, **PHONE)
    page.set_input_files("#files", [{"name": "a.png", "mimeType": "image/png", "buffer": encoded(PHOTO)}])
    expect(page.locator("#labels")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360 and too_small_to_tap(page) == []
