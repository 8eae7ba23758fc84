"""Rules allow values by type and range."""

import pytest

from m2fp_kd.rules import FLAG, either, interval, number, one_of, optional, several, whole


def test_numbers_have_types_and_ends() -> None:
    share = number(0, 1, open_low=True)
    assert share.holds(1) and share.holds(0.5) and not share.holds(0)
    assert not any(share.holds(value) for value in (True, "0.5", None, float("nan"), 1.5))
    assert number(0).holds(0) and not number(0).holds(float("inf")) and not number(0).holds(10**400)
    assert whole(1).holds(1) and not whole(1).holds(1.0) and not whole(1).holds(True)
    assert optional(whole(1)).holds(None) and optional(whole(1)).allowed == "a whole number from 1, or null"


def test_an_interval_is_a_pair_in_order() -> None:
    rule = interval(number(0, open_low=True))
    assert rule.holds([0.5, 2]) and rule.holds((1, 1))
    assert not any(rule.holds(value) for value in (3, "ab", [1], [2, 1], [0, 1], [1, 2, 3], [1, float("nan")]))


def test_several_are_a_list_that_is_not_empty() -> None:
    rule = several(whole(1))
    assert rule.holds([2, 1]) and not any(rule.holds(value) for value in ([], [1, 0], 1, "12", None))


def test_a_wrong_value_is_named_with_what_is_allowed() -> None:
    either(FLAG, one_of("warn")).check("deterministic", "warn")
    with pytest.raises(ValueError, match=r"^deterministic=null must be true or false, or one of warn$"):
        either(FLAG, one_of("warn")).check("deterministic", None)
