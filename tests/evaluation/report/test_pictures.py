import base64
import io

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.evaluation.report.pictures import Picture, data_uri, panels, strip
from m2fp_kd.runtime.mosaic import overlay
from tests.evaluation.reports import LABELS, picture


def test_overlay_colours_parts_and_darkens_the_background() -> None:
    photo = np.full((1, 3, 3), 100, np.uint8)
    shown = overlay(photo, np.array([[0, 1, 255]], np.uint8), LABELS)
    np.testing.assert_array_equal(shown[0, 0], [45, 45, 45])
    np.testing.assert_array_equal(shown[0, 1], [175, 55, 55])  # 0.75 x (200, 40, 40) + 0.25 x 100
    assert shown[0, 2].min() > 180  # ignored pixels are light
    assert shown.dtype == np.uint8


def test_panels_are_the_photo_and_its_maps_in_order_and_never_enlarged() -> None:
    shown = panels(picture("a"), LABELS)
    assert list(shown) == ["photo", "truth", "teacher", "student_fp32", "student_int8"]
    assert {panel.size for panel in shown.values()} == {(32, 24)}
    assert {panel.size for panel in panels(picture("a"), LABELS, longest=16).values()} == {(16, 12)}


def test_resizing_keeps_to_the_parts_of_the_map() -> None:
    whole = Picture("a", np.zeros((40, 40, 3), np.uint8), {"truth": np.eye(40, dtype=np.uint8) * 2})
    colours = np.unique(np.asarray(panels(whole, LABELS, longest=13)["truth"]).reshape(-1, 3), axis=0)
    assert len(colours) <= 2  # background and part 2, not part 1


def test_strip_puts_panels_side_by_side() -> None:
    assert strip(picture("a"), LABELS).size == (5 * 32 + 4 * 6, 24)


def test_data_uri_holds_the_picture() -> None:
    uri = data_uri(Image.new("RGB", (9, 7), (200, 30, 30)))
    head, body = uri.split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert image.size == (9, 7)


def test_a_map_of_another_size_is_named() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg: teacher map \(2, 2\) does not fit photo \(4, 4\)"):
        Picture("a.jpg", np.zeros((4, 4, 3), np.uint8), {"teacher": np.zeros((2, 2), np.uint8)})


def test_the_miou_of_one_photo_needs_labelled_pixels() -> None:
    photo, half = np.zeros((1, 2, 3), np.uint8), np.array([[0, 0]], np.uint8)
    labelled = Picture("a", photo, {"truth": np.array([[0, 1]], np.uint8), "teacher": half})
    assert labelled.miou("teacher", LABELS) == pytest.approx((0.5 + 0) / 2)
    ignored = Picture("a", photo, {"truth": np.full((1, 2), 255, np.uint8), "teacher": half})
    assert ignored.miou("teacher", LABELS) is None
    assert Picture("a", photo, {"teacher": half}).miou("teacher", LABELS) is None
