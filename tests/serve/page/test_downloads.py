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
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.relabel import relabelled
from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, made_up, parsing, part_map, serving
from tests.serve.page.actions import (
    HEIGHT,
    PHONE,
    SMALL,
    WIDTH,
    choose,
    coloured,
    entry,
    give,
    opaque,
    parsed,
    too_small_to_tap,
)

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


def choose_labels(page: Page, name: str) -> Parsing:
    """Choose a label set with the full model; return the result that the page then shows."""
    parsed(page, lambda: page.get_by_label("Label set").select_option(name))
    translation = find_translation(LABELS, name)
    return relabelled(parsing("full", PHOTO), translation) if translation else parsing("full", PHOTO)


def test_page_and_files_follow_the_chosen_label_set(page):
    give(page)
    parsed(page, lambda: choose(page, "Full"))
    assert page.locator("#labels option").all_text_contents() == ["cihp", "atr", "lip", "pascal_person_part"]
    expected = choose_labels(page, "atr")
    names = {part.name for part in expected.parts}
    assert np.any(expected.part_map != parsing("full", PHOTO).part_map)
    assert set(page.locator("#legend .name").all_text_contents()) == names
    np.testing.assert_array_equal(opaque(page), coloured(expected.part_map, expected.labels))
    name, data = save(page, "map")
    assert name == "photo-full-atr-parts.png"
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), expected.part_map)
        assert image.getpalette()[: 3 * 18] == LABEL_SETS["atr"].palette()[: 3 * 18]
    name, data = save(page, "json")
    found = json.loads(data)
    assert (name, found["labels"]) == ("photo-full-atr-result.json", "atr") and "map" not in found
    name, data = save(page, "masks")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [f"{part.index:03}_{part.name}.png" for part in expected.parts]
        assert name == "photo-full-atr-masks.zip" and archive.namelist()[: len(files)] == files
    name, data = save(page, "polygons")
    assert name == "photo-full-atr-polygons.json" and {part["name"] for part in json.loads(data)["parts"]} == names
    name, data = save(page, "confidence")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), expected.confidence())
    entry(page, "face").click()
    name, data = save(page, "cutout")
    face = next(part for part in expected.parts if part.name == "face")
    assert name == "photo-full-atr-face.png"
    assert np.count_nonzero(np.asarray(Image.open(io.BytesIO(data)))[..., 3]) == face.area


def test_the_models_own_labels_come_back_without_a_request(page):
    give(page)
    names = page.locator("#legend .name").all_text_contents()
    entry(page, "hair").click()
    with page.expect_response("**/api/parse?*labels=pascal_person_part*"):
        page.get_by_label("Label set").select_option("pascal_person_part")
    expect(entry(page, "head")).to_be_visible()
    expect(page.locator("#cutout")).to_be_hidden()
    page.on("request", lambda request: pytest.fail(f"requested {request.url}"))
    page.get_by_label("Label set").select_option("cihp")
    expect(entry(page, "hair")).to_be_visible()
    assert page.locator("#legend .name").all_text_contents() == names
    name, data = save(page, "map")
    assert name == "photo-lite-parts.png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), part_map("lite", HEIGHT, WIDTH))


def test_a_model_without_the_chosen_label_set_answers_in_its_own(open_page):
    models, _ = made_up("lite", "full")
    facts = models["lite"].facts
    facts["label_sets"] = [facts["label_set"]]
    with serving(models, SMALL) as address:
        page = open_page(address)
        give(page)
        expect(page.locator("#labels")).to_be_hidden()
        parsed(page, lambda: choose(page, "Full"))
        choose_labels(page, "lip")
        choose(page, "Compare")
        expect(page.locator("#agreement")).to_be_hidden()
        expect(page.locator("#heads")).to_contain_text("Light")
        choose(page, "Light")
        assert save(page, "json")[0] == "photo-lite-result.json"


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_the_choices_fit_on_a_phone(open_page, locale):
    page = open_page(locale=locale, **PHONE)
    page.set_input_files("#files", [{"name": "a.png", "mimeType": "image/png", "buffer": encoded(PHOTO)}])
    expect(page.locator("#labels")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360 and too_small_to_tap(page) == []
