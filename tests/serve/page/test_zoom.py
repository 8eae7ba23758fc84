"""Zoom and pan."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serve.made_up_models import LABELS, part_map
from tests.serve.page.actions import HEIGHT, WIDTH, give


@pytest.fixture
def parsed_page(page: Page) -> Page:
    give(page)
    return page


def box(page: Page, selector: str) -> dict[str, float]:
    return page.locator(selector).bounding_box()


def test_buttons_zoom_about_the_middle(parsed_page):
    page = parsed_page
    before = box(page, "#frame")
    expect(page.locator("[data-zoom=out]")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Zoom in").click()
    after = box(page, "#frame")
    assert after["width"] == pytest.approx(1.5 * before["width"], abs=1)
    for start, size in (("x", "width"), ("y", "height")):
        assert after[start] + after[size] / 2 == pytest.approx(before[start] + before[size] / 2, abs=1)
    page.get_by_role("button", name="Show the whole photo").click()
    assert box(page, "#frame") == before


def test_wheel_keeps_the_point_under_the_pointer(parsed_page):
    page = parsed_page
    frame = box(page, "#frame")
    parts = part_map("lite", HEIGHT, WIDTH)
    row, column = np.argwhere(parts == LABELS.parts.index("left-shoe"))[0]
    at = (frame["x"] + (column + 0.5) * frame["width"] / WIDTH, frame["y"] + (row + 0.5) * frame["height"] / HEIGHT)
    page.mouse.move(*at)
    page.mouse.wheel(0, -10)
    assert box(page, "#frame")["width"] == frame["width"], "without Ctrl the wheel scrolls the page"
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    expect(page.locator("#frame")).to_have_class("frame zoomed")
    page.mouse.move(at[0] + 1, at[1])
    expect(page.locator(".tip")).to_have_text("left-shoe")
    tip = box(page, ".tip")
    assert tip["height"] < 40, "the tip keeps its size"
    assert 0 < tip["x"] - at[0] < 40


def test_dragging_pans_within_the_picture_and_selects_nothing(parsed_page):
    page = parsed_page
    place = box(page, "#frame")
    page.get_by_role("button", name="Zoom in").click()
    middle = (place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    before = box(page, "#frame")
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1] + 20, steps=3)
    page.mouse.up()
    after = box(page, "#frame")
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((30, 20), abs=1)
    expect(page.locator(".entry[aria-pressed=true]")).to_have_count(0)
    page.mouse.down()
    page.mouse.move(middle[0] + 3000, middle[1] + 3000, steps=3)
    page.mouse.up()
    assert box(page, "#frame")["x"] == pytest.approx(place["x"], abs=1)


def test_arrow_keys_pan(parsed_page):
    page = parsed_page
    page.locator("[data-zoom=in]").focus()
    page.keyboard.press("Enter")
    before = box(page, "#frame")
    page.keyboard.press("ArrowRight")
    assert box(page, "#frame")["x"] == pytest.approx(before["x"] - before["width"] / 15, abs=1)


def test_another_photo_is_shown_whole(parsed_page):
    page = parsed_page
    page.locator("[data-zoom=in]").click()
    give(page)
    expect(page.locator("#frame")).to_have_class("frame")
