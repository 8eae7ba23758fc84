"""The models: the switch, the comparison, their facts."""

import base64
import io
import re

import numpy as np
from PIL import Image
from playwright.sync_api import Route, expect

from tests.serve.conftest import encoded
from tests.serve.made_up_models import LABELS, made_up, part_map, serving
from tests.serve.page.actions import (
    HEIGHT,
    SMALL,
    WIDTH,
    choose,
    coloured,
    entry,
    file,
    give,
    milliseconds,
    opaque,
    overlay,
    parsed,
)


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


def test_a_photo_is_parsed_once_by_each_model(page):
    requested = []
    page.on("request", lambda request: requested.append(request.url) if "/api/parse" in request.url else None)
    give(page)
    parsed(page, lambda: choose(page, "Full"))
    for view in ("Compare", "Light", "Full"):
        choose(page, view)
    expect(page.get_by_role("status")).to_contain_text("6 parts")
    assert [re.search("mode=(.*)&", url)[1] for url in requested] == ["lite", "full"]


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
    page.mouse.move(frame["x"] + frame["width"] - 1, frame["y"] + 5)
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.25 * frame["width"] - 1, frame["y"] + 5)
    page.mouse.up()
    np.testing.assert_array_equal(overlay(page), expected(WIDTH // 4))
    assert page.locator("#heads span").all_text_contents() == ["Part", "Light", "Full"]
    assert "0 % / " in entry(page, "hat").get_attribute("aria-label")


def test_one_model_has_no_switch(open_page):
    with serving(made_up("lite")[0], SMALL) as address:
        page = open_page(address)
        answer = give(page)
        expect(page.locator("#views")).to_be_hidden()
        expect(page.locator("#download-from")).to_have_text("Download")
        expect(page.locator("#models-title")).to_have_text("The model")
        expect(page.get_by_role("status")).to_have_text(f"5 parts · 2 regions · {milliseconds(answer)}")
        expect(page.locator("#answering")).to_have_text("MobileNetV3 · per-pixel parser · INT8 · OpenVINO")


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


def test_a_new_model_of_the_server_is_noticed(open_page):
    models, _ = made_up("lite")
    with serving(models, SMALL) as address:
        page = open_page(address)
        give(page)
        shown = opaque(page)
        labels = models["lite"].facts["label_set"]
        # The same parts in other colours: the page would show the nearest of its old colours.
        colours = [[0, 0, 0], *([0, 0, 255 - 10 * index] for index in range(1, LABELS.num_parts))]
        models["lite"].facts.update(id="another", backbone="resnet18", label_set=labels | {"colours": colours})
        page.route("**/api/parse?*", lambda route: _recolour(route, colours))
        give(page, file("second.png"))
        expected = np.array(colours, np.uint8)[part_map("lite", HEIGHT, WIDTH)]
        np.testing.assert_array_equal(overlay(page)[..., :3][shown[..., 3] > 0], expected[shown[..., 3] > 0])
        expect(page.locator("#answering")).to_contain_text("ResNet-18")
        expect(page.locator("#photos button").first).to_be_visible()
        parsed(page, page.locator("#photos button").first.click)  # the old model's result is not shown again


def _recolour(route: Route, colours: list[list[int]]) -> None:
    """Answer as the server does, with a part map in other colours."""
    response = route.fetch()
    answer = response.json()
    with Image.open(io.BytesIO(base64.b64decode(answer["map"]))) as image:
        image.putpalette(np.array(colours, np.uint8).tobytes())
        route.fulfill(response=response, json=answer | {"map": base64.b64encode(encoded(image)).decode()})


def test_a_removed_mode_is_noticed(open_page):
    models, _ = made_up("lite", "full")
    with serving(models, SMALL) as address:
        page = open_page(address)
        give(page)
        page.route(
            "**/api/parse?*mode=full*", lambda route: route.continue_(url=route.request.url.replace("full", "x"))
        )
        choose(page, "Full")
        expect(page.get_by_role("status")).to_contain_text("There is no mode 'x'")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status")).to_contain_text("There is no mode 'x'")


def test_demo_is_announced(open_page, page):
    expect(page.locator("#demo")).to_be_hidden()
    models, _ = made_up("lite")
    models["lite"].facts.update(
        demo=True, score={"photos": "drawn, test photos", "count": 500, "miou": 0.5636}, licence="research use"
    )
    with serving(models, SMALL) as address:
        expect(open_page(address).locator("#demo")).to_have_text(
            "This is the demo, a small student for a first look. Its mIoU is 56.4 % on 500 photos "
            "(drawn, test photos). Terms: research use."
        )
