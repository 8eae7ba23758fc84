"""Photos that are chosen evenly from all."""

import pytest

from m2fp_kd.data.spacing import evenly_spaced


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [0]), (2, [0, 7]), (3, [0, 4, 7]), (8, list(range(8))), (100, list(range(8))), (None, list(range(8)))],
)
def test_distances_are_equal(count: int | None, chosen: list[int]) -> None:
    assert evenly_spaced(range(8), count) == chosen


def test_nothing_is_chosen_from_nothing() -> None:
    assert evenly_spaced([], 3) == evenly_spaced([]) == []
