"""axe-core on both pages: the rules of WCAG 2.2, A and AA, and axe's best practices."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python, of the dev extra")

from axe_playwright_python.sync_playwright import Axe, AxeResults

from m2fp_kd.serve.settings import Settings
from tests.serve.made_up_models import made_up, serving
from tests.serve.page.actions import PHONE, file, give

OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},  # of WCAG 2.2, and off by default
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
    "Chinese": {"locale": "zh-CN"},
}
STILL = {"reduced_motion": "reduce"}
"""Without animations, because axe would measure elements that are half faded in."""


@pytest.fixture(params=LOOKS.values(), ids=LOOKS)
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options with which the page is opened."""
    return STILL | request.param


def examined(page: Page) -> AxeResults:
    """Run axe. It is injected by the DevTools protocol, because the page's policy forbids a script tag."""
    return Axe().run(page, options=OPTIONS)


def assert_accessible(page: Page) -> None:
    results = examined(page)
    assert results.violations_count == 0, results.generate_report()


def test_page(open_page, look):
    page = open_page(**look)
    assert_accessible(page)
    give(page, file(), file("another.png"))
    assert_accessible(page)
    page.locator("#views label").last.click()
    expect(page.locator("#divider")).to_be_visible()
    assert_accessible(page)
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.locator("#news.bad")).to_be_visible()
    assert_accessible(page)
    page.locator("#camera").click()
    expect(page.locator("#viewfinder")).to_be_visible()
    assert_accessible(page)


def test_page_that_requires_a_token(open_page, look):
    with serving(made_up("lite")[0], Settings(token="open sesame")) as address:
        assert_accessible(open_page(address, ready="#token:not([hidden])", **look))
        docs = open_page(f"{address}/docs", ready="#operations button", **look)
        expect(docs.locator("#token")).to_be_visible()
        assert_accessible(docs)


def test_docs_page(open_page, service, look):
    page = open_page(f"{service}/docs", ready="#operations button", **look)
    assert_accessible(page)
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("form button").first.click()
    expect(page.get_by_role("status")).to_contain_text("200 OK")
    assert_accessible(page)


def test_axe_finds_broken_elements(page):
    page.evaluate("document.querySelector('#choose').textContent = ''")
    page.evaluate("document.querySelector('h1').style.color = '#ccc'")
    found = {violation["id"] for violation in examined(page).response["violations"]}
    assert found == {"button-name", "color-contrast"}
