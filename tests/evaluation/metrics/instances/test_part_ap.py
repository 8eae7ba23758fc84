"""APp and PCP by hand: two persons, head 1 and torso 2 of two pixels each, in a strip of ten pixels."""

import numpy as np
import pytest

from m2fp_kd.evaluation.metrics.instances import FoundPerson
from m2fp_kd.evaluation.metrics.instances.metrics import THRESHOLDS
from m2fp_kd.evaluation.metrics.instances.part_ap import PersonClaims, part_ap
from m2fp_kd.evaluation.metrics.instances.pcp import pcp
from m2fp_kd.evaluation.metrics.instances.truth import Truth
from tests.evaluation.metrics.instances.scenes import NUM_PARTS, UNKNOWN, person, strip

PARTS = strip(1, 1, 2, 2, 0, 1, 1, 2, 2, 0)
HUMANS = strip(1, 1, 1, 1, 0, 2, 2, 2, 2, 0)
FIRST = strip(1, 1, 2, 2, 0, 0, 0, 0, 0, 0)
SECOND = strip(0, 0, 0, 0, 0, 1, 1, 2, 2, 0)
NOTHING = strip(*[0] * 10)


def claims_of(*persons: FoundPerson, parts: np.ndarray = PARTS, humans: np.ndarray = HUMANS) -> PersonClaims:
    claims = PersonClaims()
    claims.add(persons, Truth.of(parts, humans, NUM_PARTS, UNKNOWN))
    return claims


def curve(claims: PersonClaims) -> list[float]:
    return [part_ap(claims, threshold) for threshold in THRESHOLDS]


def test_perfect_predictions_score_one() -> None:
    claims = claims_of(person(SECOND, 0.6), person(FIRST, 0.9))
    assert curve(claims) == [1] * 9
    assert pcp(claims, 0.5) == 1


def test_missing_one_of_two_persons_halves_the_scores() -> None:
    claims = claims_of(person(FIRST, 0.9))
    assert curve(claims) == [0.5] * 9
    assert pcp(claims, 0.5) == 0.5


def test_no_prediction_scores_zero() -> None:
    claims = claims_of()
    assert curve(claims) == [0] * 9
    assert pcp(claims, 0.5) == 0


def test_a_duplicate_counts_as_wrong() -> None:
    claims = claims_of(person(FIRST, 0.9), person(FIRST, 0.8), person(SECOND, 0.7))
    assert curve(claims) == pytest.approx([(1 + 2 / 3) / 2] * 9)
    assert pcp(claims, 0.5) == 1


def test_the_order_of_scores_counts() -> None:
    wrong = strip(0, 0, 0, 0, 4, 0, 0, 0, 0, 4)
    assert part_ap(claims_of(person(wrong, 0.9), person(FIRST, 0.8), person(SECOND, 0.7)), 0.5) == pytest.approx(2 / 3)
    assert part_ap(claims_of(person(FIRST, 0.8), person(wrong, 0.75), person(SECOND, 0.7)), 0.5) == pytest.approx(5 / 6)
    assert part_ap(claims_of(person(FIRST, 0.8), person(SECOND, 0.7), person(wrong, 0.1)), 0.5) == 1


def test_swapped_parts_within_a_person() -> None:
    """Head and torso 0, background 1: a mean of 1/3."""
    mixed = np.array([0, 2, 1], np.uint8)
    claims = claims_of(person(mixed[FIRST], 0.9), person(mixed[SECOND], 0.8))
    assert curve(claims) == [1, 1, 1] + [0] * 6
    assert pcp(claims, 0.5) == 0
    assert pcp(claims, 0.3) == 0  # matched, but no part is correct


def test_swapped_heads_of_two_persons() -> None:
    """Head 0, torso 1, legs 1, background 6 of 10 pixels: a mean of 0.65."""
    parts, humans = strip(1, 1, 2, 2, 3, 3, 0, 1, 1, 2, 2, 3, 3, 0), strip(*[1] * 7, *[2] * 7)
    first = strip(0, 0, 2, 2, 3, 3, 0, 1, 1, 0, 0, 0, 0, 0)
    second = strip(1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 2, 3, 3, 0)
    claims = claims_of(person(first, 0.9), person(second, 0.8), parts=parts, humans=humans)
    assert claims.claims.overlaps == pytest.approx([0.65, 0.65])
    assert curve(claims) == [1] * 6 + [0] * 3
    assert pcp(claims, 0.5) == pytest.approx(2 / 3)


def test_an_overlap_that_equals_the_threshold_is_not_above_it() -> None:
    """Head 0, torso 1, background 4 of 8 pixels: a mean of 1/2."""
    claims = claims_of(person(strip(0, 0, 2, 2, 0, 1, 1, 0, 0, 0), 0.9))
    assert curve(claims) == [0.5] * 4 + [0] * 5


def test_a_predicted_part_that_the_truth_lacks_lowers_the_mean_but_not_pcp() -> None:
    """Head 1, torso 1, part 3 0, background 5/6: a mean of 17/24 = 0.708."""
    claims = claims_of(person(strip(1, 1, 2, 2, 3, 0, 0, 0, 0, 0), 0.9), person(SECOND, 0.8))
    assert curve(claims) == pytest.approx([1] * 7 + [0.25] * 2)
    assert claims.claims.overlaps[0] == pytest.approx(17 / 24)
    assert pcp(claims, 0.5) == 1


def test_pcp_counts_the_true_parts_of_the_persons_that_were_found() -> None:
    """One of three parts is wrong: head 1, torso 1, legs 0, part 4 0, background 1; the other person is missed."""
    parts, humans = strip(1, 1, 2, 2, 3, 3, 0, 1, 0, 0), strip(1, 1, 1, 1, 1, 1, 0, 2, 0, 0)
    claims = claims_of(person(strip(1, 1, 2, 2, 4, 4, 0, 0, 0, 0), 0.9), parts=parts, humans=humans)
    assert claims.claims.overlaps == [pytest.approx(3 / 5)]
    assert pcp(claims, 0.5) == pytest.approx((2 / 3 + 0) / 2)


def test_a_person_without_parts_is_wrong_if_predicted_and_ignored_if_true() -> None:
    claims = claims_of(person(NOTHING, 0.95), person(FIRST, 0.9), person(SECOND, 0.8))
    assert part_ap(claims, 0.5) == pytest.approx(2 / 3)
    bare = HUMANS.copy()
    bare[0, 4], bare[0, 9] = 3, 4  # on background
    assert curve(claims_of(person(FIRST, 0.9), person(SECOND, 0.8), humans=bare)) == [1] * 9


def test_predictions_on_a_photo_without_persons_are_wrong() -> None:
    claims = claims_of(person(FIRST, 0.9), parts=NOTHING, humans=NOTHING)
    claims.add([person(FIRST, 0.8), person(SECOND, 0.7)], Truth.of(PARTS, HUMANS, NUM_PARTS, UNKNOWN))
    assert part_ap(claims, 0.5) == pytest.approx(2 / 3)
    assert pcp(claims, 0.5) == 1


def test_persons_in_unknown_pixels_do_not_count() -> None:
    unknown = np.where(HUMANS == 2, UNKNOWN, PARTS)
    claims = claims_of(person(SECOND, 0.9), person(FIRST, 0.8), parts=unknown)
    assert claims.claims.count == 1
    assert curve(claims) == [1] * 9


def test_errors_name_the_mismatch() -> None:
    with pytest.raises(ValueError, match=r"person \(1, 3\) and truth \(1, 10\)"):
        claims_of(person(strip(0, 1, 0), 0.5))
    with pytest.raises(ValueError, match=r"person with part 5, but parts are 0\.\.4"):
        claims_of(person(np.where(FIRST > 0, 5, 0), 0.5))
    with pytest.raises(ValueError, match=r"part map \(1, 10\) and person ids \(1, 2\)"):
        claims_of(humans=strip(0, 1))
    with pytest.raises(ValueError, match=r"truth holds part 9, but parts are 0\.\.4"):
        claims_of(parts=strip(9, *[0] * 9))
