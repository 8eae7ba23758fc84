"""English and Chinese."""

import re

from playwright.sync_api import expect

from m2fp_kd.labels import LABEL_SETS
from tests.serve.page.actions import STATIC, choose, entry, file, give, milliseconds

NAMES_AND_UNITS = """m2fp kd English PNG JPEG JSON API Apache ms MB px f32 cihp MobileNetV3 INT8 FP32 OpenVINO M2FP
    ResNet CC BY NC ZIP atr lip pascal person part"""


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
    assert latin <= {*NAMES_AND_UNITS.split(), "broken", "png"}
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("#message")).to_contain_text("the same on")


def test_language_is_kept_between_pages(page):
    page.get_by_role("button", name="中文").click()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("人体解析")
    page.get_by_role("link", name="API").click()
    expect(page.get_by_role("button", name="试一试").first).to_be_visible()
    page.get_by_role("button", name="English").click()
    page.get_by_role("link", name="Back to the page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Human parsing")


def test_both_languages_have_every_text(page):
    english, chinese = page.evaluate(
        "import('/static/words.js').then(({LANGUAGES}) => [LANGUAGES.en, LANGUAGES.zh])",
    )
    only_chinese = chinese.keys() - english.keys()
    only_english = english.keys() - chinese.keys()
    assert all(key.startswith("error.") for key in only_chinese)  # the API's own texts are English
    assert all(key.endswith(".one") for key in only_english)  # Chinese has no singular
    for key in english.keys() & chinese.keys():
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", chinese[key])), key
    markup = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("index.html", "docs.html"))
    assert set(re.findall(r'data-(?:say|label|title)="(.+?)"', markup)) <= english.keys()
    parts = {part for labels in LABEL_SETS.values() for part in labels.parts}
    assert parts == set(page.evaluate("import('/static/parts_zh.js').then(({PARTS_ZH}) => Object.keys(PARTS_ZH))"))
