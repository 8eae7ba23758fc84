"""Sources of photos: files, drops, the clipboard, the camera."""

import base64

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.serve.conftest import encoded
from tests.serve.made_up_models import part_map
from tests.serve.page.actions import HEIGHT, WIDTH, coloured, file, give, opaque, overlay


def test_each_of_several_photos_is_parsed_when_it_is_shown(page):
    requested = []
    page.on("request", lambda request: requested.append(request.url) if "/api/parse" in request.url else None)
    tall = encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    give(page, file("first.png"), file("broken.png", b"broken"), file("third.png", tall))
    thumbnails = page.locator("#photos button")
    assert [one.get_attribute("aria-label") for one in thumbnails.all()] == [
        "Show photo 1: first.png", "Show photo 2: broken.png", "Show photo 3: third.png"
    ]  # fmt: skip
    assert len(requested) == 1
    thumbnails.nth(1).click()
    expect(page.locator("#message")).to_contain_text("cannot be read")
    thumbnails.nth(2).click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", WIDTH, HEIGHT)))
    thumbnails.nth(0).click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    expect(page.locator(".photo")).to_have_attribute("width", str(WIDTH))
    np.testing.assert_array_equal(overlay(page), coloured(part_map("lite", HEIGHT, WIDTH)))
    assert len(requested) == 3
    assert thumbnails.nth(0).get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".viewer")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "choose"


def test_new_photo_cancels_the_request_in_flight(page, shut_gate):
    cancelled = []
    page.on("requestfailed", lambda request: cancelled.append(request.failure))
    page.set_input_files("#files", [file("slow.png")])
    expect(page.get_by_role("status")).to_have_text("The light model is looking at the photo …")
    page.set_input_files("#files", [file("quick.png", encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8)))])
    shut_gate.open()
    expect(page.get_by_role("status")).to_contain_text("5 parts")
    assert cancelled == ["net::ERR_ABORTED"]
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", WIDTH, HEIGHT)))


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted_photos(page, kind):
    page.evaluate(
        """([kind, text]) => {
            const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
            const carrier = new DataTransfer();
            carrier.items.add(new File([bytes], "photo.png", { type: "image/png" }));
            const [type, field] = kind === "drop" ? [DragEvent, "dataTransfer"] : [ClipboardEvent, "clipboardData"];
            document.body.dispatchEvent(new type(kind, { bubbles: true, cancelable: true, [field]: carrier }));
        }""",
        [kind, base64.b64encode(file()["buffer"]).decode()],
    )
    expect(page.locator("#message")).to_contain_text("5 parts · 2 regions")


def test_camera(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#viewfinder")).to_be_hidden()
    expect(page.locator(".viewer")).to_be_hidden()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    assert not page.evaluate("document.querySelector('video').srcObject")


def test_no_camera_no_button(open_page):
    page = open_page()
    expect(page.locator("#camera")).to_be_visible()
    page.add_init_script("navigator.mediaDevices.enumerateDevices = async () => []")
    page.reload()
    page.wait_for_selector("#facts table", state="attached")
    expect(page.locator("#camera")).to_be_hidden()
