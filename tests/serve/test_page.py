"""The web page in a real browser, on the real application: its models are artefacts, or their networks are made up."""

import base64
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="needs Playwright, of the dev extra")

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import m2fp_kd.serve
from m2fp_kd.cli.options import DEMO
from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.models import load_model
from m2fp_kd.serve.settings import Settings
from tests.runtime.conftest import people_artefact  # noqa: F401  a fixture
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import LABELS, Gate, made_up, part_map, people_boxes, serving

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")

STATIC = Path(m2fp_kd.serve.__file__).parent / "static"
HEIGHT, WIDTH = 120, 160
SMALL = Settings(megabytes=2, megapixels=4, requests_per_minute=0)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
EXAMPLES = ("street", "group", "pair")
NAMES_AND_UNITS = """m2fp kd English PNG JPEG JSON API Apache ms MB px f32 cihp MobileNetV3 INT8 FP32 OpenVINO M2FP
    ResNet CC BY NC"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gated_service() -> Iterator[tuple[str, Gate]]:
    models, gate = made_up("lite", "full")
    with serving(models, SMALL) as address:
        yield address, gate


@pytest.fixture
def service(gated_service: tuple[str, Gate]) -> str:
    """The address of a service whose networks are made up."""
    return gated_service[0]


@pytest.fixture
def shut_gate(gated_service: tuple[str, Gate]) -> Iterator[Gate]:
    """The service keeps photos waiting until this is opened."""
    gate = gated_service[1]
    gate.shut()
    yield gate
    gate.open()


@pytest.fixture
def open_page(browser: Browser, service: str) -> Iterator[Open]:
    """Open the page; at the end, nothing may have gone wrong in it, nor have left for another host."""
    contexts, wrong = [], []

    def open_one(address: str = service, ready: str = "#facts table", **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        origin = address.removesuffix("/docs")
        context.set_default_timeout(5000)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.blockedURI))"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
        page.on("response", lambda answer: wrong.append(answer.url) if _is_missing(answer.status, answer.url) else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_foreign(request.url, origin) else None)
        page.goto(address)
        page.wait_for_selector(ready, state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def _is_wrong(kind: str, text: str) -> bool:
    """Chromium reports every answer that is an error; the page says those itself."""
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")


def _is_missing(status: int, url: str) -> bool:
    return status >= 400 and "/api/" not in url


def _is_foreign(url: str, origin: str) -> bool:
    return not url.startswith((origin, "blob:" + origin, "data:"))


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()


def file(name: str = "photo.png", data: bytes | None = None) -> dict[str, Any]:
    """A photo as somebody chooses it."""
    photo = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    return {"name": name, "mimeType": "image/png", "buffer": encoded(photo) if data is None else data}


def parsed(page: Page, act: Callable[[], None]) -> dict[str, Any]:
    """The API's answer to what `act` makes the page ask, once the page shows it."""
    with page.expect_response("**/api/parse?*") as caught:
        act()
    answer = caught.value.json()
    expect(page.locator("#message")).to_contain_text(milliseconds(answer))
    return answer


def give(page: Page, *files: dict[str, Any]) -> dict[str, Any]:
    """Choose photos; the answer to the first."""
    return parsed(page, lambda: page.set_input_files("#files", list(files or [file()])))


def choose(page: Page, view: str) -> None:
    page.locator("#views label", has_text=re.compile(rf"^\s*{view}")).click()


def milliseconds(answer: dict[str, Any]) -> str:
    """As the page says it."""
    total = answer["timings_ms"]["total"]
    return f"{total:,.{1 if total < 10 else 0}f} ms"


def overlay(page: Page) -> np.ndarray:
    """The canvas with the parts, uint8 (height, width, 4) RGBA."""
    url = page.evaluate("document.querySelector('.overlay').toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def opaque(page: Page) -> np.ndarray:
    """The overlay at full opacity, where colours come back exactly."""
    page.fill("#opacity", "100")
    return overlay(page)


def coloured(parts: np.ndarray) -> np.ndarray:
    """What the opaque overlay of a part map is."""
    colours = np.array(LABELS.colours, np.uint8)[parts] * (parts > 0)[..., None].astype(np.uint8)
    return np.concatenate([colours, np.where(parts > 0, 255, 0)[..., None].astype(np.uint8)], axis=-1)


def entry(page: Page, part: str) -> Locator:
    """The legend's entry of a part."""
    return page.locator(f"[data-part={part}]")


@pytest.fixture
def artefacts(people_artefact: Path) -> dict[str, Path]:  # noqa: F811
    """The demo of the package as light model, one that tells people apart as full one."""
    return {"lite": DEMO, "full": people_artefact}


@pytest.fixture
def artefact_page(artefacts: dict[str, Path], open_page: Open) -> Iterator[Page]:
    """The page of a service with both."""
    models = {mode: load_model(mode, path, 1, 1, "onnxruntime", UNLIMITED) for mode, path in artefacts.items()}
    with serving(models, UNLIMITED) as address:
        yield open_page(address)


@pytest.fixture
def drawn_people() -> np.ndarray:
    """An example picture in the only size that the full artefact takes."""
    with Image.open(STATIC / "examples" / "group.jpg") as picture:
        return np.array(picture.convert("RGB").resize((225, 180)))


def test_artefacts_alone_and_side_by_side(artefact_page, artefacts, drawn_people):
    page = artefact_page
    lite, full = (Parser.load(path, "onnxruntime")(drawn_people) for path in artefacts.values())
    give(page, file(data=encoded(drawn_people)))
    np.testing.assert_array_equal(opaque(page), coloured(lite.part_map))
    largest_first = sorted(lite.parts, key=lambda part: -part.area)
    assert page.locator("#legend .name").all_text_contents() == [part.name for part in largest_first]
    assert page.locator("#people .name").all_text_contents() == [f"Region {i + 1}" for i in range(len(lite.people))]
    expect(page.locator("#answering")).to_have_text("MobileNetV3 · per-pixel parser · INT8 · ONNX Runtime")

    parsed(page, lambda: choose(page, "Full"))
    np.testing.assert_array_equal(opaque(page), coloured(full.part_map))
    assert page.locator("#people .name").all_text_contents() == [f"Person {i + 1}" for i in range(len(full.people))]
    expect(page.locator("#answering")).to_have_text("mask classifier · FP32 · ONNX Runtime")
    page.locator("[data-person='0']").hover()
    left, top, right, bottom = full.people[0].box
    frame, box = page.locator("#frame").bounding_box(), page.locator(".box").bounding_box()
    scale = frame["width"] / 225
    assert box["x"] - frame["x"] == pytest.approx(scale * left, abs=1)
    assert box["y"] - frame["y"] == pytest.approx(scale * top, abs=1)
    assert [box["width"], box["height"]] == pytest.approx([scale * (right - left), scale * (bottom - top)], abs=1)

    choose(page, "Compare")
    expect(page.locator("#divider")).to_be_visible()
    halves = np.where(np.arange(225) < 113, lite.part_map, full.part_map)
    np.testing.assert_array_equal(overlay(page), coloured(halves))
    same = 100 * (lite.part_map == full.part_map).mean()
    expect(page.locator("#agreement")).to_have_text(f"The two models agree on {same:.1f} % of the pixels.")
    largest = largest_first[0].name
    entry(page, largest).hover()
    alone = overlay(page)
    shown = halves == LABELS.parts.index(largest)
    np.testing.assert_array_equal(alone[shown], coloured(halves)[shown])
    assert len(np.unique(alone[~shown], axis=0)) == 1 and 100 < alone[~shown][0, 3] < 255


def test_downloads_are_what_the_api_answered(artefact_page, artefacts, drawn_people):
    page = artefact_page
    give(page, file("two people.png", encoded(drawn_people)))
    answer = parsed(page, lambda: choose(page, "Full"))

    def download(kind: str) -> tuple[str, bytes]:
        with page.expect_download() as caught:
            page.click(f"[data-download={kind}]")
        return caught.value.suggested_filename, Path(caught.value.path()).read_bytes()

    name, data = download("map")
    assert name == "two people-full-parts.png" and data == base64.b64decode(answer["map"])
    found = Parser.load(artefacts["full"], "onnxruntime")(drawn_people)
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (225, 180))
        np.testing.assert_array_equal(np.array(picture), found.part_map)
    name, data = download("json")
    assert name == "two people-full-result.json"
    assert json.loads(data) == {key: value for key, value in answer.items() if key != "map"}
    with page.expect_response("**/api/parse?*return=mosaic") as caught:
        name, data = download("mosaic")
    assert name == "two people-full-mosaic.jpg" and data == base64.b64decode(caught.value.json()["mosaic"])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG" and picture.width > 225


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


def test_times_of_both_models_stand_side_by_side(page):
    lite = give(page)
    expect(page.get_by_role("radio", name="Full")).not_to_be_checked()
    full = parsed(page, lambda: choose(page, "Full"))
    expect(page.get_by_role("status")).to_have_text(f"6 parts · 2 people · Full {milliseconds(full)}")
    expect(page.locator("#people-note")).to_be_hidden()
    assert "score 0.90" in page.locator("[data-person='0']").get_attribute("aria-label")
    score = next(part["score"] for part in full["parts"] if part["name"] == "face")
    assert f"score {score:.2f}" in entry(page, "face").get_attribute("aria-label")
    choices = page.locator("#views label").all()
    assert [one.locator(".time").inner_text() for one in choices[:2]] == [milliseconds(lite), milliseconds(full)]
    factor = full["timings_ms"]["total"] / lite["timings_ms"]["total"]
    expect(choices[2]).to_contain_text(f"Light is {factor:.1f}× as fast")
    assert page.locator("#steps tr", has_text="Network").locator("td").all_text_contents() == ["14.0", "287.0"]
    assert page.locator("#steps tr", has_text="Telling people apart").locator("td").all_text_contents() == ["–", "2.0"]
    expect(page.locator("#divider")).to_be_hidden()


def test_what_is_parsed_stays_parsed(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/api/parse" in request.url else None)
    give(page)
    parsed(page, lambda: choose(page, "Full"))
    for view in ("Compare", "Light", "Full"):
        choose(page, view)
    expect(page.get_by_role("status")).to_contain_text("6 parts")
    assert [re.search("mode=(.*)&", url)[1] for url in asked] == ["lite", "full"]


def test_model_can_be_chosen_before_the_photo(page):
    choose(page, "Full")
    assert give(page)["mode"] == "full"
    expect(page.locator("#answering")).to_have_text("ResNet-101 · mask classifier · FP32 · OpenVINO")


def test_divider_between_the_models(page):
    give(page)
    choose(page, "Compare")
    expect(page.locator("#divider")).to_be_visible()
    lite, full = (part_map(mode, HEIGHT, WIDTH) for mode in ("lite", "full"))

    def expected(edge: int) -> np.ndarray:
        return coloured(np.where(np.arange(WIDTH) < edge, lite, full))

    np.testing.assert_array_equal(opaque(page), expected(WIDTH // 2))
    page.focus("#divider")
    page.keyboard.press("End")
    np.testing.assert_array_equal(overlay(page), expected(WIDTH))
    frame = page.locator("#frame").bounding_box()
    page.mouse.click(frame["x"] + 0.25 * frame["width"], frame["y"] + 5)
    np.testing.assert_array_equal(overlay(page), expected(WIDTH // 4))
    assert page.locator("#heads span").all_text_contents() == ["Part", "Light", "Full"]
    assert "0 % / " in entry(page, "hat").get_attribute("aria-label")


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


def test_photo_that_no_retry_helps(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "/api/parse" in request.url else None)
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.get_by_role("status")).to_contain_text("The photo cannot be read; send a whole JPEG")
    expect(page.locator("#frame")).to_be_hidden()
    page.set_input_files("#files", [file("wide.png", encoded(np.zeros((1000, 4001, 3), np.uint8)))])
    expect(page.get_by_role("status")).to_have_text("The photo has too many pixels; at most 4 megapixels are taken.")
    assert len(sent) == 2
    page.set_input_files("#files", [file("huge.png", b"x" * 2_100_000)])
    expect(page.get_by_role("status")).to_contain_text("huge.png has 2.1 MB; this server takes 2 MB at most")
    assert len(sent) == 2, "what is too large is not sent"
    expect(page.locator("#retry")).to_be_hidden()
    expect(page.locator("#side")).to_be_hidden()
    give(page)
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", HEIGHT, WIDTH)))


def test_busy_server_says_when_to_try_again(open_page):
    models, gate = made_up("lite", waiting=1)
    worker = models["lite"].worker
    with serving(models, SMALL) as address:
        page = open_page(address)
        gate.shut()
        others = [Thread(target=worker.parse, args=([np.zeros((8, 8, 3), np.uint8)], 20)) for _ in range(2)]
        others[0].start()
        gate.reached.wait()
        others[1].start()
        while worker.waiting == 0:
            time.sleep(0.01)
        page.set_input_files("#files", [file()])
        message = "All places in the queue are taken; try again soon. Try again in 1 s."
        expect(page.get_by_role("status")).to_have_text(message)
        gate.open()
        for other in others:
            other.join()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status")).to_contain_text("5 parts")
        assert page.evaluate("document.activeElement.id") == "message"


def test_server_out_of_reach_is_told(page):
    page.route("**/api/parse**", lambda route: route.abort())
    page.set_input_files("#files", [file()])
    expect(page.get_by_role("status")).to_contain_text("The server does not answer.")
    page.unroute("**/api/parse**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")


def test_new_photo_cancels_the_one_under_way(page, shut_gate):
    cancelled = []
    page.on("requestfailed", lambda request: cancelled.append(request.failure))
    page.set_input_files("#files", [file("slow.png")])
    expect(page.get_by_role("status")).to_have_text("The light model is looking at the photo …")
    page.set_input_files("#files", [file("quick.png", encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8)))])
    shut_gate.open()
    expect(page.get_by_role("status")).to_contain_text("5 parts")
    assert cancelled == ["net::ERR_ABORTED"]
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", WIDTH, HEIGHT)))


def test_several_photos_are_parsed_when_they_are_shown(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/api/parse" in request.url else None)
    tall = encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
    give(page, file("first.png"), file("broken.png", b"broken"), file("third.png", tall))
    thumbnails = page.locator("#photos button")
    assert [one.get_attribute("aria-label") for one in thumbnails.all()] == [
        "Show photo 1: first.png", "Show photo 2: broken.png", "Show photo 3: third.png"
    ]  # fmt: skip
    assert len(asked) == 1
    thumbnails.nth(1).click()
    expect(page.locator("#message")).to_contain_text("cannot be read")
    thumbnails.nth(2).click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", WIDTH, HEIGHT)))
    thumbnails.nth(0).click()
    expect(page.locator("#message")).to_contain_text("5 parts")
    page.wait_for_function(f"document.querySelector('.photo').width === {WIDTH}")
    np.testing.assert_array_equal(overlay(page), coloured(part_map("lite", HEIGHT, WIDTH)))
    assert len(asked) == 3
    assert thumbnails.nth(0).get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".viewer")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "choose"


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


def test_examples_are_small_and_work(page):
    for name in EXAMPLES:
        path = STATIC / "examples" / f"{name}.jpg"
        with Image.open(path) as picture:
            assert max(picture.size) == 640 and path.stat().st_size < 60_000
    page.locator("[data-example=street]").click()
    expect(page.locator("#message")).to_contain_text("5 parts")


def test_one_model_has_no_switch(open_page):
    with serving(made_up("lite")[0], SMALL) as address:
        page = open_page(address)
        answer = give(page)
        expect(page.locator("#views")).to_be_hidden()
        expect(page.locator("#download-from")).to_have_text("Download")
        expect(page.locator("#models-title")).to_have_text("The model")
        expect(page.get_by_role("status")).to_have_text(f"5 parts · 2 regions · {milliseconds(answer)}")
        expect(page.locator("#answering")).to_have_text("MobileNetV3 · per-pixel parser · INT8 · OpenVINO")


def test_token_is_asked_for_and_sent(open_page):
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


def test_facts_of_the_models(page):
    rows = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in page.locator("#facts tbody tr").all()
    }
    assert rows["Backbone"] == ["MobileNetV3", "ResNet-101"]
    assert rows["Precision"] == ["INT8", "FP32"]
    assert rows["Size"] == ["3.4 MB", "253 MB"]
    assert rows["Engine"] == ["OpenVINO", "OpenVINO"]
    assert rows["Licence of the weights"] == ["not stated", "CC BY-NC 4.0"]
    assert rows["Teacher"] == ["M2FP, ResNet-101", "–"]


def test_chinese(open_page):
    page = open_page(locale="zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    answer = give(page)
    expect(page.locator("#message")).to_have_text(f"5 个部位 · 2 个区域 · 轻量 {milliseconds(answer)}")
    expect(entry(page, "hair")).to_contain_text("头发")
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.locator("#message")).to_contain_text("照片已损坏")
    choose(page, "对比")
    page.locator("#photos button").first.click()
    expect(page.locator("#message")).to_contain_text("像素一致")
    latin = set(re.findall(r"[A-Za-z][A-Za-z0-9]*", page.locator("body").inner_text()))
    assert latin <= set(NAMES_AND_UNITS.split())
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("#message")).to_contain_text("the same on")


def test_language_goes_along(page):
    page.get_by_role("button", name="中文").click()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("人体解析")
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("button", name="试一试").first).to_be_visible()
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Back to the page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Human parsing")


def test_both_languages_say_everything(page):
    english, chinese = page.evaluate(
        "import('/static/words.js').then(({LANGUAGES}) => [LANGUAGES.en, LANGUAGES.zh])",
    )
    only_chinese = chinese.keys() - english.keys()
    only_english = english.keys() - chinese.keys()
    assert all(key.startswith("error.") for key in only_chinese)  # the API's own words are English
    assert all(key.endswith(".one") for key in only_english)  # Chinese has no singular
    for key in english.keys() & chinese.keys():
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", chinese[key])), key
    markup = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("index.html", "docs.html"))
    assert set(re.findall(r'data-(?:say|label|title)="(.+?)"', markup)) <= english.keys()
    parts = {part for labels in LABEL_SETS.values() for part in labels.parts}
    assert parts == set(page.evaluate("import('/static/parts_zh.js').then(({PARTS_ZH}) => Object.keys(PARTS_ZH))"))


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


def too_small_to_tap(page: Page) -> list[str]:
    """Controls that are smaller than 44 pixels either way."""
    return page.evaluate(
        """[...document.querySelectorAll("button, select, input, summary, footer a, .eyebrow a")].filter((node) => {
            const { width, height } = node.getBoundingClientRect();
            return node.checkVisibility() && Math.min(width, height) < 43.9;
        }).map((node) => node.outerHTML)"""
    )


def test_tapped_part_is_let_go_by_a_second_tap(open_page):
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


def test_keyboard_alone(page):
    def focused() -> str:
        return page.evaluate(
            "(({id, value, dataset}) => id || dataset.part || dataset.person || dataset.download || dataset.example"
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
    parsed(page, lambda: chooser.value.set_files([file()]))
    tab_to("street")
    parsed(page, lambda: page.keyboard.press("Enter"))
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
def test_dark_and_still_where_wanted(open_page, shut_gate, wish, colour, animation):
    page = open_page(**wish)
    page.set_input_files("#files", [file()])
    expect(page.locator("body.busy")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    assert page.evaluate("getComputedStyle(document.querySelector('.viewer'), '::after').animationName") == animation


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
        assert too_small_to_tap(page) == []


def test_docs_page_sends_the_token(open_page):
    with serving(made_up("lite")[0], Settings(token="open sesame")) as address:
        page = open_page(f"{address}/docs", ready="#operations button")
        page.get_by_role("button", name="Try it").first.click()
        expect(page.get_by_role("status")).to_contain_text("unauthorized")
        page.get_by_label("This server asks for a token").fill("open sesame")
        page.get_by_role("button", name="Try it").first.click()
        expect(page.get_by_role("status")).to_contain_text("200 OK")
