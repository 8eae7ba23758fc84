"""The order of licences."""

import itertools

import pytest

from m2fp_kd.runtime.licence import UNKNOWN, strictest, strictness

IN_ORDER = [
    "Apache-2.0",
    "AGPL-3.0",
    "CC BY-NC 4.0 (M2FP's published weights: no commercial use)",
    "our own terms",
    None,
]
SAME = [
    ("MIT", "bsd-3-clause", "CC BY 4.0", "cc0-1.0", "ISC"),
    ("gpl-3.0", "LGPL", "cc-by-sa-4.0", "MPL-2.0"),
    ("cc-by-nc-sa-4.0", "for research purposes", "Non-Commercial"),
    ("other", "sapiens2-license", "limited"),
]


def test_the_strictest_licence_wins_in_any_order() -> None:
    for first, second in itertools.combinations(IN_ORDER, 2):
        assert strictest([first, second]) == strictest([second, first]) == (second or UNKNOWN)


@pytest.mark.parametrize("rank", range(4))
def test_licences_of_a_kind_are_equally_strict(rank: int) -> None:
    assert {strictness(licence) for licence in SAME[rank]} == {rank + 1}


def test_a_single_licence_stays_and_none_stays_unknown() -> None:
    assert strictest(["MIT"]) == strictest(["MIT", "MIT"]) == "MIT"
    assert strictest([]) is None and strictest([None]) is None
    assert strictest(["MIT", UNKNOWN]) == UNKNOWN
    assert strictest(["MIT", "Apache-2.0"]) == strictest(["Apache-2.0", "MIT"])
