"""Results: overlay, legend, people."""

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, made_up, part_map, people_boxes, serving
from tests.serve.page.actions import (
    HEIGHT,
    SMALL,
    WIDTH,
    choose,
    coloured,
    entry,
    file,
    give,
    milliseconds,
    opaque,
    overlay,
    parsed,
)


def test_photo_gives_overlay_and_legend(page):
    answer = give(page)
    parts = part_map("lite", HEIGHT, WIDTH)
    half_seen = overlay(page)[..., 3]
    assert set(np.unique(half_seen)) == {0, 153} and ((half_seen > 0) == (parts > 0)).all()
    np.testing.assert_array_equal(opaque(page), coloured(parts))

    areas = np.bincount(parts.ravel(), minlength=LABELS.num_parts)
    largest_first = [LABELS.parts[index] for index in np.argsort(-areas, kind="stable") if index and areas[index]]
    assert page.locator("#legend .name").all_text_contents() == largest_first
    share = f"{100 * areas[LABELS.parts.index('pants')] / parts.size:.1f} %"
    assert entry(page, "pants").get_attribute("aria-label") == f"pants: {share} of the photo"
    assert page.locator("#people .name").all_text_contents() == ["Region 1", "Region 2"]
    expect(page.locator("#people-note")).to_contain_text("two people who touch are one")
    expect(page.get_by_role("status")).to_have_text(f"5 parts · 2 regions · Light {milliseconds(answer)}")


def test_rotated_photo_lies_under_its_upright_map(page):
    photo, exif = Image.new("RGB", (WIDTH, HEIGHT)), Image.Exif()
    exif[0x0112] = 6
    give(page, file("rotated.jpg", encoded(photo, "JPEG", exif=exif)))
    assert page.evaluate("['photo', 'overlay'].map(name => document.querySelector('.' + name).width)") == [HEIGHT] * 2
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", WIDTH, HEIGHT)))


def test_large_map_is_shown_smaller_without_new_colours(page):
    give(page, file("large.png", encoded(np.zeros((1000, 3200, 3), np.uint8))))
    shown = opaque(page)
    assert shown.shape == (500, 1600, 4)
    np.testing.assert_array_equal(shown, coloured(part_map("lite", 1000, 3200)[1::2, 1::2]))


def test_legend_shows_a_part_alone(page):
    give(page)
    hair = part_map("lite", HEIGHT, WIDTH) == LABELS.parts.index("hair")
    every = opaque(page)

    def assert_alone() -> None:
        seen = overlay(page)
        np.testing.assert_array_equal(seen[hair], every[hair])
        assert len(np.unique(seen[~hair], axis=0)) == 1 and 100 < seen[~hair][0, 3] < 255

    entry(page, "hair").hover()
    assert_alone()
    page.mouse.move(0, 0)
    np.testing.assert_array_equal(overlay(page), every)
    entry(page, "hair").focus()
    assert_alone()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.locator("#choose").focus()
    assert_alone()
    assert entry(page, "hair").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    np.testing.assert_array_equal(overlay(page), every)


def test_picture_names_the_part_under_the_pointer(page):
    give(page)
    frame = page.locator("#frame").bounding_box()

    def point(row: int, column: int) -> None:
        page.mouse.move(
            frame["x"] + (column + 0.5) * frame["width"] / WIDTH, frame["y"] + (row + 0.5) * frame["height"] / HEIGHT
        )

    parts = part_map("lite", HEIGHT, WIDTH)
    for name in ("hair", "left-shoe"):
        row, column = np.argwhere(parts == LABELS.parts.index(name))[-1]
        point(row, column)
        expect(page.locator(".tip")).to_have_text(name)
        expect(page.locator(".entry.current")).to_have_attribute("data-part", name)
    point(0, 0)
    expect(page.locator(".tip")).to_be_hidden()


def test_person_is_framed(page):
    give(page)
    parsed(page, lambda: choose(page, "Full"))
    page.locator("[data-person='1']").hover()
    left, top, right, bottom = people_boxes(HEIGHT, WIDTH)[1]
    style = page.evaluate("['left', 'top', 'width', 'height'].map(side => document.querySelector('.box').style[side])")
    shares = [left / WIDTH, top / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT]
    assert style == [f"{100 * share:g}%" for share in shares]
    page.mouse.move(0, 0)
    expect(page.locator(".box")).to_be_hidden()


def test_figures_are_explained(open_page):
    models, _ = made_up("lite", "full")
    with serving(models, SMALL) as address:
        page = open_page(address)
        expect(page.locator("#parts-hint")).to_be_hidden()
        give(page)
        expect(page.locator("#people-note")).to_contain_text("A region is a connected area of parts")
        assert "Score" not in page.locator("#parts-hint").inner_text(), "this model gives no scores"
        parsed(page, lambda: choose(page, "Full"))
        expect(page.locator("#parts-hint")).to_contain_text("Score: the model's mean probability for the part")
