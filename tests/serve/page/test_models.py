"""The models: the switch, the comparison, their facts."""

import re

import numpy as np
from playwright.sync_api import expect

from tests.serve.made_up_models import made_up, part_map, serving
from tests.serve.page.actions import (
    HEIGHT,
    SMALL,
    WIDTH,
    choose,
    coloured,
    entry,
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
    page.mouse.click(frame["x"] + 0.25 * frame["width"], frame["y"] + 5)
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
