"""Sources of photos: files, drops, the clipboard, the camera."""

import base64
import re

import numpy as np
import pytest
from PIL import features
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


def test_the_example(page):
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    expect(page.locator("#example")).to_be_hidden()


def test_an_example_that_cannot_be_loaded_is_an_error_with_another_try(page):
    page.route("**/example.jpg", lambda route: route.abort())
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator("#message")).to_contain_text("does not answer")
    page.unroute("**/example.jpg")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#message")).to_contain_text("5 parts")


def test_camera(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#viewfinder")).to_be_hidden()
    expect(page.locator(".viewer")).to_be_hidden()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    assert not page.evaluate("document.querySelector('video').srcObject")


def test_a_camera_that_answers_after_its_dialog_was_closed_leaves_the_next_dialog_open(page):
    page.evaluate("""() => {
        const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        const waiting = [];
        window.answer = () => waiting.shift()();
        navigator.mediaDevices.getUserMedia = async (wish) => {
            await new Promise((resolve) => waiting.push(resolve));
            return given(wish);
        };
    }""")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Use the camera").click()
    page.evaluate("answer()")
    page.evaluate("answer()")
    page.get_by_role("button", name="Take the photo").click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    expect(page.locator("#viewfinder")).to_be_hidden()
    assert not page.evaluate("document.querySelector('video').srcObject")


def test_no_camera_no_button(open_page):
    page = open_page()
    expect(page.locator("#camera")).to_be_visible()
    page.add_init_script("navigator.mediaDevices.enumerateDevices = async () => []")
    page.reload()
    page.wait_for_selector("#facts table", state="attached")
    expect(page.locator("#camera")).to_be_hidden()


def test_upload_tells_its_progress_and_can_be_cancelled(page):
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    network.send("Network.emulateNetworkConditions", slow)
    photo = encoded(np.random.default_rng(0).integers(0, 256, (700, 800, 3), np.uint8))
    page.set_input_files("#files", [file("noise.png", photo)])
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^Sending the photo: [1-9]\d? %$"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled.")
    expect(page.locator("body.busy")).to_have_count(0)
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")


def test_broken_photo_is_named_marked_and_removed(page):
    give(page, file("first.png"), file("broken.png", b"broken"))
    page.locator("#photos button").nth(1).click()
    expect(page.get_by_role("status")).to_contain_text("broken.png: The photo cannot be read")
    broken = page.get_by_role("button", name="Show photo 2: broken.png, which cannot be parsed")
    expect(broken).to_have_text("broken.png")
    page.get_by_role("button", name="Remove this photo").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")
    expect(page.locator("#strip")).to_be_hidden()
    expect(page.locator(".photo")).to_have_attribute("width", str(WIDTH))


def test_only_photo_is_removed(page):
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.get_by_role("button", name="Remove all")).to_be_hidden()
    page.get_by_role("button", name="Remove this photo").click()
    expect(page.locator(".intake h2")).to_be_visible()
    expect(page.locator("#news.bad")).to_have_count(0)


def test_browser_encodes_what_the_server_does_not_read(page):
    if not features.check("avif"):
        pytest.skip("needs Pillow with AVIF")
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    with page.expect_request("**/api/parse?*") as sent:
        give(page, file("photo.jpg", encoded(photo, "AVIF")), file("photo.heic", b"\0\0\0\x18ftypheic" + bytes(99)))
    body = sent.value.post_data_buffer
    assert body is None or b"\xff\xd8\xff" in body
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", HEIGHT, WIDTH)))
    page.locator("#photos button").nth(1).click()
    expect(page.get_by_role("status")).to_contain_text("photo.heic: The photo cannot be read; send a complete JPEG")
