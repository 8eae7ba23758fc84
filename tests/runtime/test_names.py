"""Names of results differ and fit."""

import os

from m2fp_kd.runtime.names import distinct, shortened


def test_long_names_are_shortened_to_different_ones():
    assert shortened("n" * 244, 11) == "n" * 244
    long = [shortened("ü" * 200 + end, 11) for end in "ab"]
    assert long[0] != long[1] and all(len(os.fsencode(name)) <= 244 and "\ufffd" not in name for name in long)


def test_keys_that_share_a_value_take_their_next_choice():
    choices = {1: "abc", 2: "abd", 3: "e", 4: "fcx"}
    assert distinct(choices) == {1: "c", 2: "d", 3: "e", 4: "f"}
    assert distinct(dict(reversed(choices.items()))) == distinct(choices)
    assert distinct({1: "ax", 2: "ay", 3: "xz"}) == {1: "x", 2: "y", 3: "z"}, "a next choice may be taken too"
    assert distinct({}) == {}
