"""Keyboard, screen reader, dark mode and reduced motion."""

import pytest
from playwright.sync_api import expect

from tests.serve.page.actions import choose, entry, file, give, overlay, parsed


def test_keyboard_alone(page):
    # Registered at the start, so that Chromium knows before the key press that the test handles file choosers. Under
    # load it would otherwise open its own, which nobody sees.
    page.on("filechooser", lambda _: None)

    def focused() -> str:
        return page.evaluate(
            "(({id, value, dataset}) => id || dataset.part || dataset.person || dataset.download"
            " || dataset.language || dataset.page || value)(document.activeElement)"
        )

    def tab_to(wanted: str) -> None:
        seen = []
        while (here := focused()) != wanted:
            seen.append(here)
            assert len(seen) < 30, f"{wanted} is not reached: {seen}"
            page.keyboard.press("Tab")
            outline = page.evaluate(
                "[...[document.activeElement, document.activeElement.nextElementSibling,"
                " document.activeElement.closest('.frame')]]"
                ".filter(Boolean).map(node => getComputedStyle(node).outlineStyle)"
            )
            assert "solid" in outline, f"the focus on {focused()} is not seen"

    tab_to("zh")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.lang") == "en"
    tab_to("choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    parsed(page, lambda: chooser.value.set_files([file(), file()]))
    tab_to("lite")
    parsed(page, lambda: page.keyboard.press("ArrowRight"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#divider")).to_be_visible()
    tab_to("opacity")
    before = overlay(page)
    page.keyboard.press("ArrowLeft")
    assert overlay(page)[..., 3].max() < before[..., 3].max()
    assert page.locator("#opacity").get_attribute("aria-valuetext") == "59 %"
    tab_to("divider")
    before = overlay(page)
    page.keyboard.press("Home")
    assert (overlay(page) != before).any()
    tab_to("json")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to("clear")
    tab_to("upper-clothes")
    page.keyboard.press("Space")
    assert entry(page, "upper-clothes").get_attribute("aria-pressed") == "true"
    tab_to("1")
    expect(page.locator(".box")).to_be_visible()
    tab_to("docs")


def test_everything_has_a_name(page):
    give(page, file(), file())
    choose(page, "Compare")
    expect(page.locator("#divider")).to_be_visible()
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input:not([type=file]), [role], dialog, section")].filter((node) =>
            !(node.ariaLabel || node.labels?.length || node.textContent.trim() || node.getAttribute("aria-labelledby")
              || node.role === "status")).map((node) => node.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize(
    ("wish", "colour", "animation"),
    [
        ({"color_scheme": "light"}, "rgb(245, 246, 248)", "run"),
        ({"color_scheme": "dark", "reduced_motion": "reduce"}, "rgb(13, 16, 21)", "none"),
    ],
)
def test_dark_mode_and_reduced_motion(open_page, shut_gate, wish, colour, animation):
    page = open_page(**wish)
    page.set_input_files("#files", [file()])
    expect(page.locator("body.busy")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    assert page.evaluate("getComputedStyle(document.querySelector('.viewer'), '::after').animationName") == animation
