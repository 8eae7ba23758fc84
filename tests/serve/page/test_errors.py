"""Errors: refused photos, and a server that is busy, unreachable or requires a token."""

import time
from threading import Thread

import numpy as np
from playwright.sync_api import expect

from m2fp_kd.serve.settings import Settings
from tests.serve.conftest import encoded
from tests.serve.made_up_models import made_up, part_map, serving
from tests.serve.page.actions import HEIGHT, SMALL, WIDTH, coloured, file, give, opaque


def test_refused_photo_offers_no_retry(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "/api/parse" in request.url else None)
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.get_by_role("status")).to_contain_text("The photo cannot be read; send a complete JPEG")
    expect(page.locator("#frame")).to_be_hidden()
    page.set_input_files("#files", [file("wide.png", encoded(np.zeros((1000, 4001, 3), np.uint8)))])
    expect(page.get_by_role("status")).to_have_text(
        "wide.png: The photo has too many pixels; the limit is 4 megapixels."
    )
    assert len(sent) == 2
    page.set_input_files("#files", [file("huge.png", b"x" * 2_100_000)])
    expect(page.get_by_role("status")).to_contain_text("huge.png has 2.1 MB; this server takes 2 MB at most")
    assert len(sent) == 2, "a photo that is too large is not sent"
    expect(page.locator("#retry")).to_be_hidden()
    expect(page.locator("#side")).to_be_hidden()
    give(page)
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", HEIGHT, WIDTH)))


def test_busy_server_shows_when_to_retry(open_page):
    models, gate = made_up("lite", waiting=1)
    worker = models["lite"].worker
    with serving(models, SMALL) as address:
        page = open_page(address)
        gate.shut()
        try:
            others = [Thread(target=worker.parse, args=([np.zeros((8, 8, 3), np.uint8)], 20)) for _ in range(2)]
            others[0].start()
            gate.reached.wait()
            others[1].start()
            while worker.waiting == 0:
                time.sleep(0.01)
            page.set_input_files("#files", [file()])
            message = "The server is busy; try again soon. Try again in 1 s."
            expect(page.get_by_role("status")).to_have_text(message)
        finally:
            gate.open()  # a shut gate would keep the worker from closing
        for other in others:
            other.join()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status")).to_contain_text("5 parts")
        assert page.evaluate("document.activeElement.id") == "message"


def test_unreachable_server_is_reported(page):
    page.route("**/api/parse**", lambda route: route.abort())
    page.set_input_files("#files", [file()])
    expect(page.get_by_role("status")).to_contain_text("The server does not answer.")
    page.unroute("**/api/parse**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")


def test_token_is_requested_and_sent(open_page):
    with serving(made_up("lite")[0], Settings(token="open sesame", requests_per_minute=0)) as address:
        page = open_page(address, ready="#token:not([hidden])")
        expect(page.locator("#retry")).to_be_hidden()
        field = page.get_by_label("This server asks for a token")
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_have_text("The token is missing or wrong.")
        field.fill("open sesame")
        page.keyboard.press("Enter")
        expect(page.locator("#token")).to_be_hidden()
        give(page)
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
