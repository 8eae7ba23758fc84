"""Selection by a click on the picture, and cut-outs of what is selected."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, part_map, people_boxes
from tests.serve.page.actions import HEIGHT, WIDTH, choose, entry, file, give, parsed


def noise(height: int, width: int) -> np.ndarray:
    """A photo of which no two places look alike."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def click(page: Page, row: int, column: int) -> None:
    """Click on a pixel of the photo."""
    frame = page.locator("#frame").bounding_box()
    x, y = (column + 0.5) * frame["width"] / WIDTH, (row + 0.5) * frame["height"] / HEIGHT
    page.mouse.click(frame["x"] + x, frame["y"] + y)


def middle(name: str) -> tuple[int, int]:
    """A pixel of a part of the first person."""
    rows = np.argwhere(part_map("lite", HEIGHT, WIDTH)[:, : WIDTH // 2] == LABELS.parts.index(name))
    row, column = rows[len(rows) // 2]
    return int(row), int(column)


def cut_out(page: Page) -> tuple[str, np.ndarray]:
    with page.expect_download() as caught:
        page.get_by_role("button", name="Cut-out:").click()
    with Image.open(io.BytesIO(Path(caught.value.path()).read_bytes())) as image:
        assert image.format == "PNG" and image.mode == "RGBA"
        return caught.value.suggested_filename, np.array(image)


def assert_cut(found: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> None:
    """Check that the pixels of the mask are the photo's, all others transparent, and the cut-out is their box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    np.testing.assert_array_equal(found[..., 3] > 0, mask[window])
    np.testing.assert_array_equal(found[mask[window]][:, :3], photo[window][mask[window]])


def test_click_selects_part_then_person_then_everything(page):
    give(page)
    parsed(page, lambda: choose(page, "Full"))
    pressed = page.locator(".entry[aria-pressed=true]")
    expect(page.locator("#cutout")).to_be_hidden()
    click(page, *middle("pants"))
    expect(pressed).to_have_attribute("data-part", "pants")
    expect(page.locator("#cutout")).to_contain_text("Cut-out: pants")
    click(page, *middle("pants"))
    expect(pressed).to_have_attribute("data-person", "0")
    expect(page.locator("#cutout")).to_contain_text("Cut-out: Person 1")
    click(page, *middle("pants"))
    expect(pressed).to_have_count(0)
    click(page, *middle("hair"))
    click(page, *middle("pants"))
    expect(pressed).to_have_attribute("data-part", "pants")
    click(page, 0, 0)
    expect(pressed).to_have_count(0)


def test_click_selects_beside_the_divider_of_two_models(page):
    give(page)
    parsed(page, lambda: choose(page, "Compare"))
    pressed = page.locator(".entry[aria-pressed=true]")
    click(page, *middle("pants"))
    expect(pressed).to_have_attribute("data-part", "pants")
    expect(page.locator("#divider")).to_have_value("100")
    click(page, *middle("pants"))
    expect(pressed).to_have_attribute("data-person", "0")
    click(page, 0, 0)
    expect(pressed).to_have_count(0)
    frame = page.locator("#frame").bounding_box()
    middle_row, centre = frame["y"] + frame["height"] / 2, frame["x"] + frame["width"] / 2
    page.mouse.move(centre, middle_row)
    page.mouse.down()
    page.mouse.move(centre + frame["width"] / 4, middle_row, steps=4)
    page.mouse.up()
    assert 140 < int(page.locator("#divider").input_value()) < 160
    expect(pressed).to_have_count(0)


def test_part_that_only_the_other_model_found_cannot_be_cut_out(page):
    give(page)
    parsed(page, lambda: choose(page, "Compare"))
    entry(page, "hat").click()
    expect(entry(page, "hat")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#cutout")).to_be_hidden()


def test_part_is_cut_out(page):
    photo = noise(HEIGHT, WIDTH)
    give(page, file("two.people.png", encoded(photo)))
    entry(page, "hair").click()
    name, found = cut_out(page)
    assert name == "two.people-lite-hair.png"
    assert_cut(found, photo, part_map("lite", HEIGHT, WIDTH) == LABELS.parts.index("hair"))


def test_part_of_a_rotated_photo_is_cut_out(page):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = noise(HEIGHT, WIDTH)
    give(page, file("rotated.png", encoded(Image.fromarray(photo), "PNG", exif=exif)))
    entry(page, "pants").click()
    _, found = cut_out(page)
    assert_cut(found, np.rot90(photo, -1), part_map("lite", WIDTH, HEIGHT) == LABELS.parts.index("pants"))


def test_large_part_is_cut_out_at_the_photos_size(page):
    photo = noise(300, 2000)
    give(page, file("large.png", encoded(photo)))
    entry(page, "face").click()
    assert_cut(cut_out(page)[1], photo, part_map("lite", 300, 2000) == LABELS.parts.index("face"))


def test_person_is_cut_out(page):
    photo = noise(HEIGHT, WIDTH)
    give(page, file("two people.png", encoded(photo)))
    parsed(page, lambda: choose(page, "Full"))
    page.locator("[data-person='1']").click()
    name, found = cut_out(page)
    assert name == "two people-full-person-2.png"
    left, top, right, bottom = people_boxes(HEIGHT, WIDTH)[1]
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = part_map("full", HEIGHT, WIDTH)[top:bottom, left:right] > 0
    full_box = np.zeros((bottom - top, right - left, 4), np.uint8)
    full_box[..., :3], full_box[..., 3] = photo[top:bottom, left:right], 255 * mask[top:bottom, left:right]
    np.testing.assert_array_equal(found[..., 3], full_box[..., 3])
    np.testing.assert_array_equal(found[found[..., 3] > 0], full_box[full_box[..., 3] > 0])


def test_region_is_cut_out(page):
    photo = noise(HEIGHT, WIDTH)
    answer = give(page, file(data=encoded(photo)))
    page.locator("[data-person='0']").click()
    name, found = cut_out(page)
    left, top, right, bottom = answer["people"]["found"][0]["box"]
    window = part_map("lite", HEIGHT, WIDTH)[top:bottom, left:right] > 0
    assert name == "photo-lite-region-1.png"
    np.testing.assert_array_equal(found[..., 3] > 0, window)
    np.testing.assert_array_equal(found[window][:, :3], photo[top:bottom, left:right][window])
