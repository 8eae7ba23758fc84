"""The page's own geometry, part maps and people, against those of the Python runtime."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from m2fp_kd.runtime.arrays import softmax
from m2fp_kd.runtime.formats import rle
from m2fp_kd.runtime.geometry import Geometry, Placement, place, restore_map
from m2fp_kd.runtime.part_map import part_map, upsampled_argmax
from m2fp_kd.runtime.persons import find_persons
from m2fp_kd.runtime.regions import connected_regions
from tests.serve.page.actions import STATIC
from tests.serve.page.device.hosting import hosted

SIZES = [(1, 1), (1, 300), (40, 30), (64, 64), (100, 133), (129, 64), (240, 180), (300, 3), (260, 97), (281, 283)]
"""Photos, height and width."""


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Page]:
    """A blank page of the server that has the page's modules."""
    with hosted(STATIC) as address:
        page = browser.new_page()
        page.goto(f"{address}icon.svg")
        yield page
        page.close()


def call(page: Page, body: str, **values: object) -> object:
    """Run the body of a function, whose `load(name)` imports a module, with these values; arrays go as lists."""
    plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}
    # As JSON text, which the browser reads a hundred times faster than Playwright's own format of large lists.
    start = "const load = (name) => import(`/${name}.js`); const given = JSON.parse(text);"
    return json.loads(page.evaluate(f"async (text) => {{ {start} {body} }}", json.dumps(plain)))


@pytest.mark.parametrize("geometry", [Geometry(64), Geometry(96, fixed=False)])
@pytest.mark.parametrize("size", SIZES)
def test_canvas_is_bit_for_bit_that_of_the_runtime(modules, size, geometry) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    body = """
        const { placed, placementOf } = await load("device/placement");
        const placement = placementOf(given.size, given.geometry);
        const rgba = Uint8ClampedArray.from(given.photo.flat(2));
        const middle = 4 * given.size[1] * Math.ceil(given.size[0] / 2);
        const canvas = placed([rgba.subarray(0, middle), rgba.subarray(middle)], placement);
        return JSON.stringify({ placement, canvas: Array.from(canvas) });
    """
    fields = {"size": geometry.size, "fixed": geometry.fixed}
    rgba = np.dstack([photo, np.full(size, 255, np.uint8)])
    found = call(modules, body, photo=rgba, size=size, geometry=fields)
    canvas, placement = place(photo, geometry)
    assert found["placement"] == {name: list(value) for name, value in vars(placement).items()}
    np.testing.assert_array_equal(np.array(found["canvas"], np.uint8).reshape(canvas.shape), canvas)


@pytest.mark.parametrize("size", SIZES)
def test_part_map_is_that_of_the_runtime(modules, size) -> None:
    placement = place(np.zeros((*size, 3), np.uint8), Geometry(64))[1]
    logits = np.random.default_rng(1).normal(size=(5, 16, 16)).astype(np.float32)
    body = """
        const { canvasMap, photoMap } = await load("device/part_map");
        const { partScores } = await load("device/scores");
        const logits = { values: Float32Array.from(given.logits.flat(2)), parts: 5, grid: [16, 16] };
        const canvas = canvasMap(logits, given.placement.canvas);
        const scores = [...partScores(logits, canvas, given.placement.canvas)];
        const photo = Array.from(photoMap(logits, canvas, given.placement));
        return JSON.stringify({ canvas: Array.from(canvas), photo, scores });
    """
    found = call(modules, body, logits=logits, placement=vars(placement))
    canvas = np.reshape(found["canvas"], placement.canvas)
    np.testing.assert_array_equal(canvas, upsampled_argmax(logits))
    expected = part_map(logits, placement)
    assert (np.reshape(found["photo"], size) == expected).mean() >= min(0.9999, 1 - 1.5 / expected.size)
    shares = softmax(logits, axis=0).repeat(4, 1).repeat(4, 2)
    for part, score in found["scores"]:
        np.testing.assert_allclose(score, shares[part][canvas == part].mean(), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (37, 61), (64, 64), (300, 500)])
def test_a_coarse_part_map_is_enlarged_as_in_the_runtime(modules, size) -> None:
    placement = place(np.zeros((*size, 3), np.uint8), Geometry(64))[1]
    canvas = np.random.default_rng(2).integers(0, 7, placement.canvas).astype(np.uint8)
    body = """
        const { nearestMap } = await load("device/part_map");
        return JSON.stringify(Array.from(nearestMap(Uint8Array.from(given.canvas.flat()), given.placement)));
    """
    found = call(modules, body, canvas=canvas, placement=vars(placement))
    np.testing.assert_array_equal(np.reshape(found, size), restore_map(canvas, placement))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.59, 1.0])
def test_regions_and_their_outlines_are_those_of_the_runtime(modules, share) -> None:
    rng = np.random.default_rng(3)
    found_map = ((rng.random((40, 70)) < share) * rng.integers(1, 4, (40, 70))).astype(np.uint8)
    body = """
        const { connectedRegions, maskOf, placesOf } = await load("device/regions");
        const { decodeMask, encodeMask } = await load("run_lengths");
        const [map, size] = [Uint8Array.from(given.map.flat()), [40, 70]];
        const regions = connectedRegions(map, size, 3).map((region) => {
          const mask = maskOf(region, size);
          const rle = encodeMask(mask, size);
          const same = `${decodeMask(rle)}` === `${mask}`;
          return { area: region.area, box: region.box, rle, same };
        });
        return JSON.stringify({ regions, places: placesOf(map, size) });
    """
    found = call(modules, body, map=found_map)
    expected = connected_regions(found_map != 0, 3)
    assert [(one["area"], tuple(one["box"])) for one in found["regions"]] == [(one.area, one.box) for one in expected]
    assert [one["rle"] for one in found["regions"]] == [rle(one.mask) for one in expected]
    assert all(one["same"] for one in found["regions"])
    for one in found["places"]:
        rows, columns = np.nonzero(found_map == one["index"])
        assert one["area"] == len(rows)
        assert one["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_persons_are_those_of_the_runtime(modules) -> None:
    rng = np.random.default_rng(4)
    size, parts = (90, 120), 3
    placement: Placement = place(np.zeros((*size, 3), np.uint8), Geometry(64))[1]
    classes = rng.normal(size=(9, parts + 2)).astype(np.float32)
    classes[:5, parts] += 4
    rows, columns = np.mgrid[:16, :16]
    centres = rng.uniform(2, 12, (9, 2, 1, 1))
    masks = (6 - (rows - centres[:, 0]) ** 2 - (columns - centres[:, 1]) ** 2).astype(np.float32)
    masks[4] = -1
    body = """
        const { findPersons } = await load("device/persons");
        const { encodeMask } = await load("run_lengths");
        const { maskOf } = await load("device/regions");
        const tensor = (values, dims) => ({ data: Float32Array.from(values.flat(3)), dims });
        const people = findPersons(
          tensor(given.classes, [1, 9, 5]), tensor(given.masks, [1, 9, 16, 16]), given.placement, 3);
        const { source } = given.placement;
        return JSON.stringify(people.map((one) => ({ ...one, rle: encodeMask(maskOf(one, source), source) })));
    """
    found = call(modules, body, classes=classes, masks=masks, placement=vars(placement))
    expected = find_persons(classes, masks, placement, parts)
    assert len(expected) >= 3
    assert [(one["area"], tuple(one["box"])) for one in found] == [(one.area, one.box) for one in expected]
    np.testing.assert_allclose([one["score"] for one in found], [one.score for one in expected], rtol=1e-5)
    assert [one["rle"] for one in found] == [rle(one.mask) for one in expected]
