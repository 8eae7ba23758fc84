"""Fixed and broken pixels, on maps with a known answer."""

import numpy as np
import pytest

from m2fp_kd.data.reading import Photo
from m2fp_kd.evaluation.differences.compare import BROKEN, FIXED, WRONG, differences, verdict
from m2fp_kd.evaluation.differences.page import Shown, part_rows, render
from m2fp_kd.labels import LABEL_SETS

LABELS = LABEL_SETS["pascal_person_part"]


def maps(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


TRUTH = maps([0, 1, 1, 255], [2, 2, 0, 0])
BEFORE = maps([0, 1, 2, 3], [2, 0, 1, 0])  # three wrong
AFTER = maps([0, 2, 1, 1], [2, 3, 0, 0])  # fixes two of them, breaks one, leaves one wrong


def photo(name: str = "a") -> Photo:
    return Photo(name, np.zeros((*TRUTH.shape, 3), np.uint8), TRUTH)


def test_every_pixel_gets_a_verdict() -> None:
    expected = maps([0, BROKEN, FIXED, 0], [0, WRONG, FIXED, 0])
    np.testing.assert_array_equal(verdict(TRUTH, BEFORE, AFTER), expected)


def test_shares_are_of_the_labelled_pixels_and_add_up_to_the_accuracy() -> None:
    found = differences(lambda image: BEFORE, lambda image: AFTER, [photo()], LABELS)
    (change,) = found.photos
    assert (change.fixed, change.broken) == pytest.approx((2 / 7, 1 / 7))
    assert change.gain == pytest.approx(found.after.pixel_accuracy - found.before.pixel_accuracy)


def test_photos_are_ordered_by_their_change() -> None:
    answers = {"better": (BEFORE, AFTER), "same": (AFTER, AFTER), "worse": (AFTER, BEFORE), "best": (BEFORE, TRUTH)}
    turns = [iter([pair[side] for pair in answers.values()]) for side in (0, 1)]
    found = differences(lambda _: next(turns[0]), lambda _: next(turns[1]), map(photo, answers), LABELS)
    names = list(answers)
    assert [names[change.index] for change in found.most_improved(5)] == ["best", "better"]
    assert [names[change.index] for change in found.most_worsened(5)] == ["worse"]
    assert len(found.most_improved(1)) == 1


BLACK = np.zeros((2, 4, 3), np.uint8)


@pytest.mark.parametrize("photos", [[], [Photo("a", BLACK)], [Photo("b", BLACK, np.full_like(TRUTH, 255))]])
def test_photos_without_labelled_pixels_are_an_error(photos: list[Photo]) -> None:
    with pytest.raises(ValueError, match=r"no labelled pixels|a: has no label"):
        differences(lambda _: BEFORE, lambda _: AFTER, photos, LABELS)


def test_the_page_shows_both_kinds_of_photos_and_escapes_names() -> None:
    found = differences(lambda image: BEFORE, lambda image: AFTER, [photo()], LABELS)
    shown = Shown(photo("<b>"), 1 / 7, BEFORE, AFTER)
    page = render(found, ("same name", "same name"), [shown], [], LABELS)
    assert "Most improved" in page and "Most worsened" not in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("data:image/jpeg") == 5  # photo, truth, both models, changes
    assert "28.6 % of the labelled pixels were fixed and 14.3 % broken" in page


def test_rows_give_each_parts_iou_and_boundary_iou() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 2
    hollow = truth.copy()
    hollow[15:25, 15:25] = 0
    found = differences(lambda _: hollow, lambda _: truth, [Photo("a", np.zeros((40, 40, 3), np.uint8), truth)], LABELS)
    rows = {row["part"]: row for row in part_rows(found, found.before.shares(LABELS))}
    assert rows["head"]["IoU before %"] == "75.0" and rows["head"]["change of IoU"] == "+25.0"
    # Bands are one pixel wide: 76 pixels at the outer contour, in both maps, and 44 around the hole.
    assert rows["head"]["boundary IoU before %"] == "63.3" and rows["head"]["change of boundary IoU"] == "+36.7"
    assert rows["torso"]["boundary IoU before %"] == rows["torso"]["change of boundary IoU"] == "–"
    assert rows["mean"]["IoU after %"] == "100.0"
