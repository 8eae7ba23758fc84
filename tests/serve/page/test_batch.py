"""Several photos parsed in a row and saved as a ZIP."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from m2fp_kd.labels import LABEL_SETS, find_translation
from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, made_up, part_map, serving
from tests.serve.page.actions import HEIGHT, WIDTH, file, give


def parse_all(page: Page, name: str = "m2fp-kd-lite.zip") -> zipfile.ZipFile:
    with page.expect_download() as caught:
        page.get_by_role("button", name="Parse all, save a ZIP").click()
    assert caught.value.suggested_filename == name
    archive = zipfile.ZipFile(io.BytesIO(Path(caught.value.path()).read_bytes()))
    assert archive.testzip() is None
    return archive


def test_results_of_all_photos_are_in_the_archive(page):
    tall = encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    answer = give(page, file("照片 1.png"), file("same.png"), file("Same.jpg", tall))
    archive = parse_all(page)
    stems = ["照片 1", "same", "Same-2"]
    assert archive.namelist() == [f"{stem}-{kind}" for stem in stems for kind in ("parts.png", "result.json")]
    for stem, size in zip(stems, [(HEIGHT, WIDTH), (HEIGHT, WIDTH), (WIDTH, HEIGHT)], strict=True):
        with Image.open(io.BytesIO(archive.read(f"{stem}-parts.png"))) as picture:
            np.testing.assert_array_equal(np.array(picture), part_map("lite", *size))
    assert json.loads(archive.read("照片 1-result.json")) == {k: v for k, v in answer.items() if k != "map"}
    expect(page.get_by_role("status")).to_have_text("In the ZIP: 3 photos.")


def test_the_archive_follows_the_chosen_label_set(page):
    give(page, file("first.png"), file("second.png"))
    page.get_by_label("Label set").select_option("atr")
    archive = parse_all(page, "m2fp-kd-lite-atr.zip")
    shown = find_translation(LABELS, "atr").shares.argmax(axis=1)[part_map("lite", HEIGHT, WIDTH)]
    assert np.any(shown != part_map("lite", HEIGHT, WIDTH))
    for stem in ("first", "second"):
        with Image.open(io.BytesIO(archive.read(f"{stem}-parts.png"))) as picture:
            np.testing.assert_array_equal(np.array(picture), shown)
        result = json.loads(archive.read(f"{stem}-result.json"))
        assert result["labels"] == "atr"
        assert {part["name"] for part in result["parts"]} == {LABEL_SETS["atr"].parts[i] for i in np.unique(shown) if i}


def test_a_broken_photo_is_named_and_does_not_stop_the_others(page):
    give(page, file("first.png"), file("broken.png", b"broken"), file("third.png"))
    assert len(parse_all(page).namelist()) == 4
    expect(page.get_by_role("status")).to_contain_text("In the ZIP: 2 of 3 photos. Not parsed: broken.png: The photo")
    expect(page.locator("#photos .failed")).to_have_count(1)


def test_rate_limit_is_waited_for(open_page):
    with serving(made_up("lite")[0], Settings(requests_per_minute=60)) as address:
        page = open_page(address)
        give(page, *(file(f"{number}.png") for number in range(14)))
        assert len(parse_all(page).namelist()) == 28


def test_cancelled_batch_saves_nothing(page, shut_gate):
    page.set_input_files("#files", [file("first.png"), file("second.png")])
    page.get_by_role("button", name="Parse all, save a ZIP").click()
    expect(page.get_by_role("status")).to_have_text("Photo 1 of 2: first.png …")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    page.on("download", lambda _: (_ for _ in ()).throw(AssertionError("saved a cancelled batch")))
    shut_gate.open()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")
