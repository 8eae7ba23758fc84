"""With real artefacts the page shows and saves the results of the runtime."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from m2fp_kd.data.synthetic import draw_scene
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve.models import load_model
from tests.serve.conftest import UNLIMITED, encoded
from tests.serve.made_up_models import LABELS, serving
from tests.serve.page.actions import choose, coloured, entry, file, give, opaque, overlay, parsed
from tests.serve.page.conftest import Open


@pytest.fixture
def artefacts(artefact: Callable[..., Path], people_artefact: Path) -> dict[str, Path]:
    """A per-pixel artefact as light model and one that separates persons as full model, of the same labels."""
    lite = artefact(label_set=LABELS.to_dict(), precision="int8", backbone="mobilenetv3")
    return {"lite": lite, "full": people_artefact}


@pytest.fixture
def artefact_page(artefacts: dict[str, Path], open_page: Open) -> Iterator[Page]:
    """The page of a service with both artefacts."""
    models = {mode: load_model(mode, path, 1, 1, "onnxruntime", UNLIMITED) for mode, path in artefacts.items()}
    with serving(models, UNLIMITED) as address:
        yield open_page(address)


@pytest.fixture
def drawn_people() -> np.ndarray:
    """A scene in the only size that the full artefact accepts."""
    return draw_scene(1, (180, 225)).image


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


def test_downloads_equal_the_apis_answers(artefact_page, artefacts, drawn_people):
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
