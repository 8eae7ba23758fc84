"""COCO annotations cover every pixel of the parts once."""

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.runtime.coco import annotations, categories
from m2fp_kd.runtime.formats import rle
from m2fp_kd.runtime.geometry import Placement
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.persons import Person
from tests.runtime.rasterised import beyond_a_pixel, sample_maps

masks = pytest.importorskip("pycocotools.mask", reason="needs pycocotools, of the dev extra")


def result(part_map, persons=()):
    size = part_map.shape
    kind = "persons" if persons else "regions"
    labels, placement = LABEL_SETS["cihp"], Placement(size, size, size)
    photo = np.zeros((*size, 3), np.uint8)
    return Parsing(photo, part_map, labels, kind, {}, placement, {"part_map": part_map}, list(persons))


def decoded(annotation, size):
    shape = annotation["segmentation"]
    return masks.decode(shape if isinstance(shape, dict) else masks.merge(masks.frPyObjects(shape, *size))).astype(bool)


def test_categories_count_from_one_and_are_the_parts():
    found = categories(LABEL_SETS["cihp"])
    assert [one["id"] for one in found] == list(range(1, 20)) and found[0]["name"] == "hat"


@pytest.mark.parametrize("as_polygons", [False, True])
def test_without_persons_each_part_has_one_annotation(as_polygons):
    part_map = sample_maps()[0]
    found = list(annotations(result(part_map), as_polygons))
    assert [one["category_id"] for one in found] == np.unique(part_map)[1:].tolist()
    for one in found:
        mask = part_map == one["category_id"]
        again = decoded(one, mask.shape)
        assert beyond_a_pixel(mask, again) == 0 and (as_polygons or (mask == again).all())
        left, top, width, height = one["bbox"]
        assert mask[top : top + height, left : left + width].sum() == one["area"] == mask.sum()
        assert one["iscrowd"] == 0 and one["score"] == 1 and "person_id" not in one
        assert not as_polygons or all(len(ring) >= 6 for ring in one["segmentation"])


def test_each_part_of_a_person_has_one_and_overlaps_belong_to_the_better():
    part_map = np.zeros((10, 20), np.uint8)
    part_map[2:9, 1:19] = 5
    part_map[2:4, 8:12] = 13
    first, second = np.zeros((2, 10, 20), bool)
    first[:, :11], second[:, 9:17] = True, True
    found = list(annotations(result(part_map, [Person.of(first, 0.9), Person.of(second, 0.5)])))
    assert [(one["category_id"], one.get("person_id")) for one in found] == [
        (5, None),
        (5, 1),
        (5, 2),
        (13, 1),
        (13, 2),
    ]
    again = [decoded(one, part_map.shape) for one in found]
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in again), part_map > 0)
    assert again[1].sum() == found[1]["area"] and not again[1][:, 11:].any() and again[4].sum() == 2


def test_no_person_is_no_annotation_and_one_pixel_is_one():
    assert list(annotations(result(np.zeros((4, 5), np.uint8)))) == []
    part_map = np.zeros((4, 5), np.uint8)
    part_map[3, 4] = 2
    for as_polygons in (False, True):
        (one,) = annotations(result(part_map), as_polygons)
        assert one["bbox"] == [4, 3, 1, 1] and one["area"] == 1 and decoded(one, (4, 5)).sum() == 1


def test_run_lengths_of_a_window_are_those_of_the_whole_mask():
    random = np.random.default_rng(0)
    for _ in range(300):
        window = random.random(random.integers(1, 8, 2)) < random.choice([0, 0.3, 0.7, 1.01])
        at, behind = random.integers(0, 3, 2), random.integers(0, 3, 2)
        whole = np.pad(window, [(at[0], behind[0]), (at[1], behind[1])])
        counts = masks.encode(np.asfortranarray(whole.astype(np.uint8)))["counts"].decode()
        assert rle(window, tuple(at), whole.shape) == {"size": list(whole.shape), "counts": counts}
