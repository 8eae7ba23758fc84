import numpy as np
import pytest

from m2fp_kd.compress.chain import torch_parse
from m2fp_kd.compress.options import Gate
from m2fp_kd.compress.parity import ParityError, compare, describe, raise_failed
from m2fp_kd.data.reading import Photo, SourceLabels
from m2fp_kd.evaluation.report.numbers import checked_limits, verdict
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.runtime.checks import MODEL_BEFORE, TEACHER, Hop
from m2fp_kd.runtime.parser import Parser
from tests.compress.colour_student import COLOURS

STRICT = Gate(min_pixel_agreement=0.999, max_miou_drop=0.1)


def _photo(parts: np.ndarray | None, name: str = "photo") -> Photo:
    """Return a photo whose first channel holds the parts that the models below read."""
    seen = np.array([[0, 0, 1, 1], [2, 2, 3, 3]], np.uint8)
    return Photo(name, np.stack([seen] * 3, axis=2), parts)


def _right(image: np.ndarray) -> np.ndarray:
    return image[..., 0]


def _blue_becomes_green(image: np.ndarray) -> np.ndarray:
    part_map = image[..., 0].copy()
    part_map[1, 3] = 2
    return part_map


TRUTH = _right(_photo(None).image)


def test_equal_models_agree_in_everything() -> None:
    parity = compare("hop", _right, _right, [_photo(TRUTH)], COLOURS, STRICT)
    assert parity.passed
    assert (parity.pixel_agreement, parity.miou_before, parity.miou_after, parity.miou_change) == (1, 1, 1, 0)


def test_figures_in_closed_form() -> None:
    parity = compare("hop", _right, _blue_becomes_green, [_photo(TRUTH)], COLOURS, STRICT)
    assert parity.pixel_agreement == 7 / 8
    assert parity.miou_before == 1
    assert parity.miou_after == pytest.approx((1 + 1 + 2 / 3 + 1 / 2) / 4)
    assert parity.miou_change == pytest.approx(parity.miou_after - 1)
    assert (parity.worst_part, parity.worst_part_change) == ("blue", pytest.approx(-1 / 2))
    assert not parity.passed


def test_ignored_pixels_count_for_agreement_only() -> None:
    truth = TRUTH.copy()
    truth[1, 3] = COLOURS.ignore_index
    parity = compare("hop", _right, _blue_becomes_green, [_photo(truth)], COLOURS, STRICT)
    assert parity.pixel_agreement == 7 / 8
    assert parity.miou_change == 0


def test_without_labels_the_model_before_is_the_truth_of_the_worst_part() -> None:
    parity = compare("hop", _right, _blue_becomes_green, [_photo(None)], COLOURS, Gate(0.8, 0.0))
    assert (parity.miou_before, parity.miou_after, parity.miou_change) == (None, None, None)
    assert (parity.worst_part, parity.worst_part_change) == ("blue", pytest.approx(-1 / 2))
    assert parity.passed


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        (Gate(0.875, 21.0), True),
        (Gate(0.876, 21.0), False),
        (Gate(0.875, 20.0), False),
        (Gate(0.875, 21.0, max_part_drop=51.0), True),
        (Gate(0.875, 21.0, max_part_drop=49.0), False),
    ],
)
def test_every_limit_counts(gate: Gate, passed: bool) -> None:
    assert compare("hop", _right, _blue_becomes_green, [_photo(TRUTH)], COLOURS, gate).passed is passed


@pytest.mark.parametrize(
    ("gate", "failed"),
    [
        (Gate(0.875, 21.0, 51.0), []),
        (Gate(0.9, 21.0), ["min_pixel_agreement"]),
        (Gate(0.875, 20.0), ["max_miou_drop"]),
        (Gate(0.875, 21.0, 49.0), ["max_part_drop"]),
        (Gate(0.9, 20.0, 49.0), ["min_pixel_agreement", "max_miou_drop", "max_part_drop"]),
    ],
)
def test_a_hop_names_the_limits_that_failed_and_no_others(gate: Gate, failed: list[str]) -> None:
    hop = compare("hop", _right, _blue_becomes_green, [_photo(TRUTH)], COLOURS, gate)
    assert hop.failed == failed and hop.passed is not bool(failed)
    limits = {"min_pixel_agreement": "(at least", "max_miou_drop": "of mIoU (", "max_part_drop": "of IoU ("}
    for text in (verdict(hop), describe(hop)):
        assert {name for name, words in limits.items() if words in text} == set(failed)


def _square(left: int) -> np.ndarray:
    part_map = np.zeros((120, 160), np.uint8)
    part_map[40:80, left : left + 40] = 1
    return part_map


@pytest.mark.parametrize(("limit", "failed"), [(None, []), (40.0, []), (20.0, ["max_boundary_drop"])])
def test_borders_have_a_limit_of_their_own(limit: float | None, failed: list[str]) -> None:
    """A square of 40 pixels that is shifted by one loses 5 points of its IoU, but a third of that of its borders."""
    photo = Photo("square", np.zeros((120, 160, 3), np.uint8), _square(50))
    gate = Gate(0.99, 5.0, max_boundary_drop=limit)
    hop = compare("hop", lambda _: _square(50), lambda _: _square(51), [photo], COLOURS, gate)
    ring, overlap = 40**2 - 36**2, 40 * 39 - (2 * 36**2 - 36 * 35)  # two pixels wide
    square = overlap / (2 * ring - overlap)
    assert 2 * hop.boundary_change < square - 1, "the borders of the background change as well"
    assert hop.boundary_error is None, "one photo has no error"
    assert hop.failed == failed and ("points of boundary IoU" in describe(hop)) is bool(failed)
    assert f"boundary IoU −{-100 * hop.boundary_change:.2f}" in verdict(hop)


def test_borders_are_not_scored_without_labels() -> None:
    hop = compare("hop", _right, _blue_becomes_green, [_photo(None)], COLOURS, Gate(0.5, 0.0, None, 0.0))
    assert hop.boundary_change is hop.boundary_error is None and hop.passed


def test_a_score_against_the_teacher_is_gated_and_named() -> None:
    """Photos without labels get the teacher's part maps, whose loss counts like a loss against labels."""
    hop = compare("hop", _right, _blue_becomes_green, [_photo(TRUTH)], COLOURS, Gate(0.5, 20.0), TEACHER)
    assert hop.failed == ["max_miou_drop"] and hop.truth == TEACHER
    assert "of mIoU against the teacher's part maps" in describe(hop)
    assert compare("hop", _right, _right, [_photo(None)], COLOURS, STRICT, TEACHER).truth == MODEL_BEFORE


COLD = PartSets(
    LabelSet("cold", ("black", "red", "cold"), ((0, 0, 0), (255, 0, 0), (0, 255, 255))),
    COLOURS,
    np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], bool),
    np.array([0, 1, 2, 2], np.uint8),
)
"""A source that calls green and blue cold."""


def _of_source(name: str, table: PartSets, parts: np.ndarray, own: np.ndarray | None) -> Photo:
    photo = _photo(own, name)
    photo.of_source = SourceLabels(name, table, parts)
    return photo


def _red_becomes_black(image: np.ndarray) -> np.ndarray:
    part_map = image[..., 0].copy()
    part_map[0, 3] = 0
    return part_map


@pytest.mark.parametrize(
    ("gate", "failed"),
    [
        (Gate(0.8, 30.0, 51.0), []),
        (Gate(0.8, 27.0, 51.0), ["max_miou_drop"]),
        (Gate(0.8, 30.0, 49.0), ["max_part_drop"]),
        (Gate(0.8, 30.0, None, 20.0), ["max_boundary_drop"]),
    ],
)
def test_a_source_with_other_labels_has_every_limit_in_its_own_labels(gate: Gate, failed: list[str]) -> None:
    photos = [_photo(TRUTH), _of_source("snow", COLD, np.minimum(TRUTH, 2), None)]
    hop = compare("hop", _right, _red_becomes_black, photos, COLOURS, Gate(0.8, 100.0))
    (snow,) = hop.sources
    assert snow.miou_change == pytest.approx((2 / 3 + 1 / 2 + 1) / 3 - 1) and snow.worst_part == "red"
    assert snow.worst_part_change == pytest.approx(-1 / 2)
    hop = compare("hop", _right, _red_becomes_black, photos, COLOURS, gate)
    assert hop.sources[0].failed == failed and hop.passed is not bool(failed)
    assert ("on snow, " in describe(hop)) is bool(failed)
    assert ("broken" in verdict(hop).splitlines()[1]) is bool(failed)


def test_what_a_source_calls_by_one_name_may_be_confused() -> None:
    photos = [_of_source("snow", COLD, np.minimum(TRUTH, 2), None)]
    hop = compare("hop", _right, _blue_becomes_green, photos, COLOURS, Gate(0.8, 0.0, None, 0.0))
    assert hop.passed and hop.sources[0].miou_change == 0


def test_a_loss_on_a_small_source_is_not_hidden_by_a_large_one() -> None:
    same, calls = PartSets.same(COLOURS), iter(range(100))
    photos = [_of_source("large", same, TRUTH, TRUTH)] * 20 + [_of_source("small", same, TRUTH, TRUTH)]
    after = lambda image: _blue_becomes_green(image) if next(calls) == 20 else _right(image)  # noqa: E731
    hop = compare("hop", _right, after, photos, COLOURS, Gate(0.9, 5.0, 10.0))
    assert hop.failed == [] and not hop.passed
    assert {one.source: one.failed for one in hop.sources} == {"large": [], "small": ["max_miou_drop", "max_part_drop"]}
    with pytest.raises(ParityError, match=r"on small, −20.83 points of mIoU .*on small, blue lost most, −50.00 points"):
        raise_failed([hop])


def test_the_only_source_with_the_students_labels_is_judged_once() -> None:
    photos = [_of_source("own", PartSets.same(COLOURS), TRUTH, TRUTH), _of_source("snow", COLD, TRUTH.clip(0, 2), None)]
    hop = compare("hop", _right, _blue_becomes_green, photos, COLOURS, Gate(0.8, 20.0))
    assert [one.source for one in hop.sources] == ["snow"] and hop.failed == ["max_miou_drop"]


def test_a_source_without_a_scored_pixel_has_no_figures() -> None:
    photos = [_photo(TRUTH), _of_source("snow", COLD, np.full_like(TRUTH, 255), None)]
    assert compare("hop", _right, _right, photos, COLOURS, STRICT).sources == []


def test_a_verdict_tells_that_there_was_nothing_to_score() -> None:
    hop = compare("hop", _right, _right, [_photo(None)], COLOURS, STRICT)
    assert "no labels to score mIoU against" in verdict(hop)
    assert checked_limits(hop) == ["≥ 99.9 % of pixels agree"]


def test_a_loss_with_a_wide_confidence_bound_does_not_pass() -> None:
    """One photo in four loses: 5.9 points in total, but 8 photos are too few to bound that share."""

    def parity(photos: int) -> Hop:
        hurt = iter(np.random.default_rng(0).permutation(photos) < photos // 4)
        after = lambda image: _blue_becomes_green(image) if next(hurt) else _right(image)  # noqa: E731
        return compare("hop", _right, after, [_photo(TRUTH)] * photos, COLOURS, Gate(0.8, 8.0))

    few, many = parity(8), parity(256)
    for known in (few, many):
        assert known.miou_change == pytest.approx((1 + 1 + 16 / 18 + 14 / 16) / 4 - 1)
    assert few.miou_error is not None and many.miou_error is not None and few.miou_error > 3 * many.miou_error
    assert not few.passed
    assert many.passed


def test_a_gain_passes() -> None:
    assert compare("hop", _blue_becomes_green, _right, [_photo(TRUTH)], COLOURS, Gate(0.5, 0.0)).passed


def test_failure_names_hop_figures_and_the_part_that_lost_most() -> None:
    good = compare("first hop", _right, _right, [_photo(TRUTH)], COLOURS, STRICT)
    bad = compare("second hop", _right, _blue_becomes_green, [_photo(TRUTH)], COLOURS, STRICT)
    raise_failed([good])
    with pytest.raises(ParityError) as failure:
        raise_failed([good, bad])
    message = str(failure.value)
    assert "first hop" not in message
    for fact in ("second hop", "87.50 %", "99.9 %", "−20.83 points of mIoU", "blue lost most", "−50.00 points"):
        assert fact in message
    assert "at least 99.9 %" in message.splitlines()[-1]


def test_no_photos_is_an_error() -> None:
    with pytest.raises(ValueError, match="no photos"):
        compare("hop", _right, _right, [], COLOURS, STRICT)


def test_a_map_of_another_size_is_an_error_that_names_the_photo() -> None:
    with pytest.raises(ValueError, match="small"):
        compare("hop", _right, lambda image: image[:1, :, 0], [_photo(TRUTH, "small")], COLOURS, STRICT)


@pytest.mark.parametrize(
    "broken",
    [lambda image: image[..., ::-1], lambda image: (255 * (image / 255) ** 2).astype(np.uint8)],
    ids=["channels swapped", "another normalisation"],
)
def test_a_broken_hop_is_caught(broken, student, card, fp32, photos) -> None:
    parser = Parser.load(fp32, threads=1)
    sound = compare("export", torch_parse(student, card), parser.part_map, photos, COLOURS, STRICT)
    wrong = compare(
        "export", torch_parse(student, card), lambda image: parser.part_map(broken(image)), photos, COLOURS, STRICT
    )
    assert sound.passed
    assert not wrong.passed
    with pytest.raises(ParityError, match="lost most"):
        raise_failed([wrong])
