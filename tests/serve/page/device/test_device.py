"""An exported page: nothing leaves the device, it opens without a network, and it says what is wrong."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.web_page import export
from tests.runtime.conftest import people_artefact  # noqa: F401  fixture
from tests.serve.conftest import encoded
from tests.serve.made_up_models import made_up, serving
from tests.serve.page.actions import SMALL, file
from tests.serve.page.device.hosting import hosted

Open = Callable[..., Page]
Exported = Callable[..., Path]

STUB = """export const env = { wasm: {} };
export class Tensor {}
export const InferenceSession = { create() { throw new RangeError("WebAssembly.Memory(): could not allocate"); } };
"""
"""An engine in a browser without memory."""


def give(page: Page, data: bytes | None = None, name: str = "photo.png") -> None:
    """Choose a photo and wait for its result or an error."""
    page.set_input_files("#files", [file(name, data)])
    page.wait_for_selector("#timings:not([hidden]), .news.bad", state="attached")


def changed(folder: Path, copy: Path, **files: str | bytes | None) -> Path:
    """Copy a page with other content of some files in `device/`; None removes a file."""
    shutil.copytree(folder, copy, copy_function=os.link)
    for name, content in files.items():
        path = copy / "device" / name.replace("__", ".")
        path.unlink()
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return copy


def test_no_request_after_load(exported: Exported, open_hosted: Open) -> None:
    page = open_hosted(exported())
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    expect(page.locator("#private")).to_have_text("Photos do not leave this device.")
    requests: list[str] = []
    page.context.on("request", lambda request: requests.append(request.url))
    give(page)
    with page.expect_download() as map_file:
        page.locator("[data-download=map]").click()
    with page.expect_download() as mosaic:
        page.locator("[data-download=mosaic]").click()
    assert [url for url in requests if not url.startswith("blob:")] == []
    with Image.open(map_file.value.path()) as image:
        assert image.mode == "P" and image.size == (160, 120)
    with Image.open(mosaic.value.path()) as image:
        assert image.width > 2 * 160
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "http" not in policy
    outside = "fetch('https://example.org/').then(() => 'sent', () => 'refused')"
    assert page.evaluate(outside) == "refused"


def test_the_cameras_photo_is_parsed_on_the_device(exported: Exported, open_hosted: Open) -> None:
    page = open_hosted(exported())
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the photo").click()
    page.wait_for_selector("#timings:not([hidden]), .news.bad", state="attached")
    expect(page.locator(".news.bad")).to_have_count(0)
    with page.expect_download() as map_file:
        page.locator("[data-download=map]").click()
    with Image.open(map_file.value.path()) as image:
        assert image.mode == "P" and min(image.size) > 1
    assert not page.evaluate("document.querySelector('video').srcObject")


def test_it_opens_without_a_network_and_then_has_threads(exported: Exported, browser) -> None:
    context = browser.new_context(locale="en-GB")
    context.set_default_timeout(180_000)
    page = context.new_page()
    with hosted(exported()) as address:
        page.goto(address)
        page.wait_for_selector("#facts table", state="attached")
        assert page.evaluate("crossOriginIsolated") is False
        assert page.locator("#facts").inner_text().count("1 thread") == 1
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        give(page)
    page.goto(address)  # nothing listens there any more
    page.wait_for_selector("#facts table", state="attached")
    assert page.evaluate("crossOriginIsolated") is True
    threads = page.evaluate("Math.min(4, navigator.hardwareConcurrency)")
    assert threads == 1 or f"{threads} threads" in page.locator("#facts").inner_text()
    give(page)
    expect(page.locator("#message")).to_contain_text("ms")
    context.close()


def test_a_page_leaves_room_for_a_model_of_13_mb_in_20(exported: Exported) -> None:
    files = [file for file in exported().rglob("*") if file.is_file() and file.name != "model.onnx"]
    assert sum(file.stat().st_size for file in files) < 7e6


def test_persons_of_a_mask_classifier(people_artefact, kept_runtime, tmp_path, open_hosted: Open) -> None:  # noqa: F811
    export(people_artefact, tmp_path / "page")
    page = open_hosted(tmp_path / "page")
    photo = np.zeros((180, 225, 3), np.uint8)
    give(page, encoded(photo))
    people = Parser.load(people_artefact, "onnxruntime")(photo).people
    assert len(people) > 1
    expect(page.locator("#people .name")).to_have_text([f"Person {number + 1}" for number in range(len(people))])
    shares = [f"{100 * one.area / photo[..., 0].size:.1f} %" for one in people]
    expect(page.locator("#people .figure:nth-child(2)")).to_have_text(shares)
    page.locator("[data-person='0']").click()
    with page.expect_download() as cutout:
        page.locator("#cutout").click()
    with Image.open(cutout.value.path()) as image:
        left, top, right, bottom = people[0].box
        mask = people[0].mask[top:bottom, left:right]
        np.testing.assert_array_equal(np.asarray(image)[..., 3] > 0, mask)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"card__json": None}, "The file device/card.json of this page cannot be loaded; is its folder complete?"),
        ({"card__json": "{"}, "The file device/card.json of this page is broken. Export the page again."),
        ({"card__json": '{"format": 3}'}, "The model's card has format 3, but this page reads format 2."),
        ({"model__onnx": b"no model"}, "This browser cannot run the model: "),
        ({"ort__wasm__wasm__xz": b"no WebAssembly"}, "The file device/ort.wasm.wasm.xz of this page is broken."),
        ({"ort__wasm__js": STUB}, "This device has too little free memory. Close other tabs"),
    ],
)
def test_a_folder_that_does_not_work(files, sentence, exported: Exported, tmp_path, open_hosted: Open) -> None:
    page = open_hosted(changed(exported(), tmp_path / "page", **files))
    expect(page.get_by_role("status")).to_contain_text(sentence)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


@pytest.mark.parametrize(
    ("script", "lacks"),
    [
        ("WebAssembly.validate = () => false", "WebAssembly SIMD"),
        (
            "delete globalThis.CompressionStream; delete globalThis.OffscreenCanvas",
            "OffscreenCanvas, CompressionStream",
        ),
    ],
)
def test_an_old_browser(script, lacks, exported: Exported, open_hosted: Open) -> None:
    page = open_hosted(exported(), script=script)
    expect(page.get_by_role("status")).to_contain_text(f"This browser lacks {lacks}. Use Chrome or Edge 91")


def test_photos_that_cannot_be_parsed(exported: Exported, tmp_path, open_hosted: Open) -> None:
    facts = (exported() / "device" / "facts.json").read_text().replace('"megapixels": 64', '"megapixels": 1')
    page = open_hosted(changed(exported(), tmp_path / "page", facts__json=facts))
    give(page, b"broken", "broken.png")
    expect(page.get_by_role("status")).to_contain_text("broken.png: This browser cannot read the file as a photo")
    page.locator("#remove").click()
    give(page, encoded(np.zeros((1001, 1000, 3), np.uint8)), "large.png")
    expect(page.get_by_role("status")).to_contain_text("The photo has too many pixels (1000 x 1001); the limit is 1")
    expect(page.locator("#retry")).to_be_hidden()
    page.locator("#remove").click()
    give(page, encoded(np.full((1, 1, 3), 200, np.uint8)), "tiny.png")
    expect(page.get_by_role("status")).to_contain_text("ms")


@pytest.mark.long
def test_a_photo_of_50_megapixels(exported: Exported, open_hosted: Open, tmp_path) -> None:
    page = open_hosted(exported())
    Image.new("RGB", (8192, 6144), (90, 120, 150)).save(tmp_path / "photo.png")
    page.set_default_timeout(600_000)
    page.set_input_files("#files", tmp_path / "photo.png")
    page.wait_for_selector("#timings:not([hidden]), .news.bad", state="attached")
    expect(page.locator(".news.bad")).to_have_count(0)
    with page.expect_download() as map_file:
        page.locator("[data-download=map]").click()
    with Image.open(map_file.value.path()) as image:
        assert image.size == (8192, 6144)


def test_where_is_a_choice_of_the_services_page(exported: Exported, open_page) -> None:
    with serving(made_up("lite")[0], SMALL, exported() / "device") as address:
        page = open_page(address)
        page.set_default_timeout(180_000)
        sent = []
        page.on("request", lambda request: sent.append(request.url) if "/api/parse" in request.url else None)
        expect(page.get_by_role("button", name="On the server")).to_have_attribute("aria-pressed", "true")
        give(page)
        assert len(sent) == 1
        expect(page.locator("#answering")).to_contain_text("OpenVINO")
        page.get_by_role("button", name="On this device").click()
        expect(page.locator("#answering")).to_contain_text("ONNX Runtime Web", timeout=180_000)
        expect(page.locator("#legend [data-part=hair]")).to_have_count(0, timeout=180_000)
        assert len(sent) == 1 and page.evaluate("crossOriginIsolated")
        page.get_by_role("button", name="On the server").click()
        expect(page.locator("#legend [data-part=hair]")).to_have_count(1)
        assert len(sent) == 2
