"""The page on a phone: narrow, with a touch screen."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.serve.made_up_models import LABELS, part_map
from tests.serve.page.actions import HEIGHT, PHONE, WIDTH, entry, file, give, overlay, too_small_to_tap


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_phone(open_page, locale):
    page = open_page(locale=locale, **PHONE)

    def assert_fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert too_small_to_tap(page) == []

    assert_fits()
    page.set_input_files("#files", [file(f"{'long-name-' * 12}{number}.png") for number in range(6)])
    expect(page.locator("#side")).to_be_visible()
    page.locator("#views label").last.click()
    expect(page.locator("#agreement")).to_be_visible()
    assert_fits()
    page.set_input_files("#files", [file(f"{'x' * 200}.png", b"x" * 2_100_000)])
    expect(page.locator("#news.bad")).to_be_visible()
    assert_fits()


def test_second_tap_releases_a_part(open_page):
    page = open_page(**PHONE)
    give(page)
    every = overlay(page)
    entry(page, "hair").tap()
    assert (overlay(page) != every).any()
    entry(page, "hair").tap()
    np.testing.assert_array_equal(overlay(page), every)


def test_tapped_picture_names_the_part(open_page):
    page = open_page(**PHONE)
    give(page)
    frame = page.locator("#frame").bounding_box()
    row, column = np.argwhere(part_map("lite", HEIGHT, WIDTH) == LABELS.parts.index("pants"))[0]
    place = {"x": (column + 1) * frame["width"] / WIDTH, "y": (row + 1) * frame["height"] / HEIGHT}
    page.locator("#frame").tap(position=place)
    expect(page.locator(".tip")).to_have_text("pants")


def test_picture_stays_in_view_beside_the_lists(open_page):
    page = open_page(**PHONE)
    give(page)
    entry(page, "left-shoe").scroll_into_view_if_needed()
    page.mouse.wheel(0, 400)
    entry(page, "left-shoe").tap()
    frame, row = page.locator("#frame").bounding_box(), entry(page, "left-shoe").bounding_box()
    assert frame["y"] >= 0 and frame["y"] + frame["height"] <= row["y"] and row["y"] + row["height"] <= 740
