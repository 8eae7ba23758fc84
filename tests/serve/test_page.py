"""The web page in a real browser, against a stand-in for the service."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="needs Playwright, of the dev extra")

from playwright.sync_api import Browser, Download, Locator, Page, expect, sync_playwright

from m2fp_kd.labels import LABEL_SETS
from tests.serve.conftest import encoded
from tests.serve.stub_server import LABELS, RETRY_AFTER, STATIC, create_stub, part_map, people_boxes, serving

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")

HEIGHT, WIDTH = 120, 160
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
EXAMPLES = ("street", "group", "pair")
NAMES_AND_UNITS = """m2fp kd English PNG JPEG JSON API Apache ms MB px f32 cihp MobileNetV3 student INT8 FP32 OpenVINO
    M2FP ResNet CC BY NC"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with serving(create_stub()) as address:
        yield address


@pytest.fixture
def open_page(browser: Browser, service: str) -> Iterator[Open]:
    """Open the page; at the end, nothing may have gone wrong in it, nor have left for another host."""
    contexts, wrong = [], []

    def open_one(address: str = service, ready: str = "#facts table", **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(5000)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.blockedURI))"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
        page.on("response", lambda answer: wrong.append(answer.url) if _is_missing(answer.status, answer.url) else None)
        page.on("request", lambda request: wrong.append(request.url) if _is_foreign(request.url, address) else None)
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


def _is_foreign(url: str, address: str) -> bool:
    return not url.startswith((address, "blob:" + address, "data:"))


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()


def file(name: str = "photo.png", data: bytes | None = None) -> dict[str, Any]:
    """A photo as somebody chooses it."""
    photo = np.full((HEIGHT, WIDTH, 3), 127, np.uint8)
    return {"name": name, "mimeType": "image/png", "buffer": encoded(photo) if data is None else data}


def give(page: Page, *files: dict[str, Any]) -> None:
    """Choose photos and wait until the first is parsed."""
    page.set_input_files("#files", list(files or [file()]))
    expect(page.locator("#message")).to_contain_text("ms")


def choose(page: Page, view: str) -> None:
    page.locator("#views label", has_text=view).click()


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


def test_photo_gives_overlay_and_legend(page):
    give(page)
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
    expect(page.locator("#message")).to_have_text("5 parts · 2 regions · 20 ms")


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


def test_full_model_beside_light_one(page):
    give(page)
    choose(page, "Full")
    expect(page.locator("#message")).to_have_text("6 parts · 2 people · 410 ms")
    expect(page.locator("#people-note")).to_be_hidden()
    assert "score 0.90" in page.locator("[data-person='0']").get_attribute("aria-label")
    assert "score 0.76" in entry(page, "face").get_attribute("aria-label")
    assert page.locator(".tile b").all_text_contents() == ["20 ms", "410 ms"]
    expect(page.locator(".tile[data-mode=lite]")).to_contain_text("20.5× as fast as the full model")
    assert page.locator("#steps tr", has_text="Network").locator("td").all_text_contents() == ["14.0", "287.0"]
    expect(page.locator("#divider")).to_be_hidden()


def test_comparison_has_light_on_the_left_and_full_on_the_right(page):
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
    expect(page.locator("#agreement")).to_contain_text(f"{100 * (lite == full).mean():.1f} %")
    assert page.locator("#heads span").all_text_contents() == ["Part", "Light", "Full"]
    assert "0.0 % / " in entry(page, "hat").get_attribute("aria-label")


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
    page.locator("[data-person='1']").hover()
    left, top, right, bottom = people_boxes(HEIGHT, WIDTH)[1]
    style = page.evaluate("['left', 'top', 'width', 'height'].map(side => document.querySelector('.box').style[side])")
    shares = [left / WIDTH, top / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT]
    assert style == [f"{100 * share:g}%" for share in shares]
    page.mouse.move(0, 0)
    expect(page.locator(".box")).to_be_hidden()


def test_downloads(page):
    give(page, file("a photo.png"))
    choose(page, "Full")
    expect(page.locator("#message")).to_contain_text("410 ms")

    def download(kind: str) -> Download:
        with page.expect_download() as caught:
            page.click(f"[data-download={kind}]")
        return caught.value

    saved = download("map")
    assert saved.suggested_filename == "a photo-full-parts.png"
    np.testing.assert_array_equal(np.array(Image.open(saved.path())), part_map("full", HEIGHT, WIDTH))
    saved = download("mosaic")
    assert saved.suggested_filename == "a photo-full-mosaic.jpg"
    with Image.open(saved.path()) as picture:
        assert (picture.format, picture.size) == ("JPEG", (WIDTH, HEIGHT))
    saved = download("json")
    assert saved.suggested_filename == "a photo-full-result.json"
    result = json.loads(Path(saved.path()).read_text())
    assert (result["mode"], result["size"], "map" in result) == ("full", [HEIGHT, WIDTH], False)
    assert [part["name"] for part in result["parts"]][:2] == ["hat", "hair"]


def test_broken_photo_is_told_and_the_next_one_works(page):
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.get_by_role("status")).to_have_text("The photo cannot be read; send a whole JPEG file.")
    expect(page.locator("#side")).to_be_hidden()
    give(page)
    np.testing.assert_array_equal(opaque(page), coloured(part_map("lite", HEIGHT, WIDTH)))


def test_busy_server_says_when_to_try_again(page):
    page.set_input_files("#files", [file("busy.png")])
    message = f"The queue is full. Try again in {RETRY_AFTER} s."
    expect(page.get_by_role("status")).to_have_text(message)
    with page.expect_request("**/api/parse**"):
        page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_have_text(message)


def test_too_large_photo_is_not_sent(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.set_input_files("#files", [file("huge.png", b"x" * 2_100_000)])
    expect(page.get_by_role("status")).to_contain_text("huge.png has 2.1 MB; this server takes 2 MB at most")
    assert not [url for url in sent if "parse" in url]


def test_server_out_of_reach_is_told(page):
    page.route("**/api/parse**", lambda route: route.abort())
    page.set_input_files("#files", [file()])
    expect(page.get_by_role("status")).to_contain_text("The server does not answer.")
    page.unroute("**/api/parse**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("5 parts")


def test_new_photo_cancels_the_one_under_way(page):
    cancelled = []
    page.on("requestfailed", lambda request: cancelled.append(request.failure))
    page.set_input_files("#files", [file("slow.png")])
    expect(page.locator("#message")).to_contain_text("The light model is looking at the photo")
    give(page, file("quick.png", encoded(np.zeros((WIDTH, HEIGHT, 3), np.uint8))))
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
    expect(page.locator("#message")).to_have_text("5 parts · 2 regions · 20 ms")


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
    with serving(create_stub(modes=("lite",))) as address:
        page = open_page(address)
        give(page)
        expect(page.locator("#views")).to_be_hidden()
        expect(page.locator("#download-from")).to_have_text("Download")
        expect(page.locator("#models-title")).to_have_text("The model")


def test_token_is_asked_for_and_sent(open_page):
    with serving(create_stub(token="open sesame")) as address:
        page = open_page(address, ready="#token:not([hidden])")
        expect(page.locator("#retry")).to_be_hidden()
        field = page.get_by_label("This server asks for a token")
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("This server wants a token.")
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
    assert rows["Precision"] == ["INT8", "FP32"]
    assert rows["Size"] == ["3.4 MB", "253 MB"]
    assert rows["Engine"] == ["OpenVINO", "OpenVINO"]
    assert rows["Licence of the weights"] == ["not stated", "CC BY-NC 4.0"]
    assert rows["Teacher"] == ["M2FP, ResNet-101", "–"]


def test_chinese(open_page):
    page = open_page(locale="zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.set_input_files("#files", [file()])
    expect(page.locator("#message")).to_have_text("5 个部位 · 2 个区域 · 20 ms")
    expect(entry(page, "hair")).to_contain_text("头发")
    page.set_input_files("#files", [file("broken.png", b"broken")])
    expect(page.locator("#message")).to_contain_text("照片已损坏")
    choose(page, "对比")
    page.locator("#photos button").first.click()
    expect(page.locator("#message")).to_contain_text("像素一致")
    latin = set(re.findall(r"[A-Za-z][A-Za-z0-9]*", page.locator("main").inner_text()))
    assert latin <= set(NAMES_AND_UNITS.split())
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("#message")).to_contain_text("the same on")


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
    asked = page.evaluate(
        "[...document.querySelectorAll('[data-say], [data-label]')].map(node => node.dataset.say ?? node.dataset.label)"
    )
    assert set(asked) <= english.keys()
    parts = {part for labels in LABEL_SETS.values() for part in labels.parts}
    assert parts == set(page.evaluate("import('/static/parts_zh.js').then(({PARTS_ZH}) => Object.keys(PARTS_ZH))"))


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_phone_does_not_scroll_sideways(open_page, locale):
    page = open_page(locale=locale, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    widths = [page.evaluate("document.documentElement.scrollWidth")]
    page.set_input_files("#files", [file(f"{'long-name-' * 12}{number}.png") for number in range(6)])
    expect(page.locator("#side")).to_be_visible()
    page.locator("#views label").last.click()
    expect(page.locator("#agreement")).to_be_visible()
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.set_input_files("#files", [file(f"{'x' * 200}.png", b"x" * 2_100_000)])
    expect(page.locator("#retry")).to_be_visible()
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert widths == [360] * 3


def test_tapped_part_is_let_go_by_a_second_tap(open_page):
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    give(page)
    every = overlay(page)
    entry(page, "hair").tap()
    assert (overlay(page) != every).any()
    entry(page, "hair").tap()
    np.testing.assert_array_equal(overlay(page), every)


def test_keyboard_alone(page):
    def focused() -> str:
        return page.evaluate(
            "(({id, value, dataset}) => id || dataset.part || dataset.person || dataset.download || dataset.example"
            " || dataset.language || value)(document.activeElement)"
        )

    def tab_to(wanted: str) -> None:
        seen = []
        while (here := focused()) != wanted:
            seen.append(here)
            assert len(seen) < 30, f"{wanted} is not reached: {seen}"
            page.keyboard.press("Tab")
            outline = page.evaluate(
                "[...[document.activeElement, document.activeElement.closest('label, .frame')]].filter(Boolean)"
                ".map(node => getComputedStyle(node).outlineStyle)"
            )
            assert "solid" in outline, f"the focus on {focused()} is not seen"

    tab_to("choose")
    tab_to("street")
    page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("20 ms")
    tab_to("lite")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#message")).to_contain_text("410 ms")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#divider")).to_be_visible()
    tab_to("opacity")
    before = overlay(page)
    page.keyboard.press("ArrowLeft")
    assert overlay(page)[..., 3].max() < before[..., 3].max()
    tab_to("divider")
    before = overlay(page)
    page.keyboard.press("Home")
    assert (overlay(page) != before).any()
    tab_to("json")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to("upper-clothes")
    page.keyboard.press("Space")
    assert entry(page, "upper-clothes").get_attribute("aria-pressed") == "true"
    tab_to("1")
    expect(page.locator(".box")).to_be_visible()


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


def test_dark_and_still_where_wanted(open_page):
    def look(**options: str) -> list[str]:
        page = open_page(**options)
        page.set_input_files("#files", [file("slow.png")])
        expect(page.locator("body.busy")).to_be_visible()
        return page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('.viewer'), '::after').animationName]"
        )

    assert look(color_scheme="light") == ["rgb(245, 246, 248)", "run"]
    assert look(color_scheme="dark", reduced_motion="reduce") == ["rgb(13, 16, 21)", "none"]
