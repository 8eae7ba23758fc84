"""The documentation page of the API."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from m2fp_kd.serve.settings import Settings
from tests.serve.made_up_models import made_up, serving
from tests.serve.page.actions import PHONE, file, too_small_to_tap


@pytest.mark.parametrize("options", [{}, PHONE])
def test_every_operation_can_be_tried_on_the_docs_page(open_page, service, options):
    page = open_page(f"{service}/docs", ready="#operations button", **options)

    def attempt(path: str, *files: dict[str, Any]) -> str:
        card = page.locator("section", has=page.locator("code", has_text=re.compile(f"^{path}$")))
        if files:
            card.locator("[type=file]").set_input_files(list(files))
        card.get_by_role("button", name="Try it").click()
        output = card.get_by_role("status")
        expect(output).to_contain_text(" ms\n")
        return output.inner_text()

    assert attempt("/api/models").startswith("200 OK") and '"full"' in attempt("/api/models")
    page.locator("select").first.select_option("full")
    answer = attempt("/api/parse", file())
    assert answer.startswith("200 OK") and '"mode": "full"' in answer and "characters)" in answer
    assert "photo_broken" in attempt("/api/parse/batch", file(), file("broken.png", b"broken"))
    assert attempt("/healthz").startswith("200 OK")
    assert attempt("/readyz").startswith("200 OK")
    page.locator("summary").first.click()
    expect(page.get_by_role("row", name="200 done")).to_be_visible()
    if options:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        wide = "[...document.querySelectorAll('.fields')].filter(box => box.scrollWidth > box.clientWidth).length"
        assert page.evaluate(wide) == 0
        assert too_small_to_tap(page) == []


def test_docs_page_sends_the_token(open_page):
    with serving(made_up("lite")[0], Settings(token="open sesame")) as address:
        page = open_page(f"{address}/docs", ready="#operations button")
        page.get_by_role("button", name="Try it").first.click()
        expect(page.get_by_role("status")).to_contain_text("unauthorized")
        page.get_by_label("This server asks for a token").fill("open sesame")
        page.get_by_role("button", name="Try it").first.click()
        expect(page.get_by_role("status")).to_contain_text("200 OK")
