"""Shares of photos by their names."""

import pytest

from m2fp_kd.shards import Shard, own_shard


def test_shares_are_about_equal() -> None:
    names = [f"photos/{index:06}" for index in range(8000)]
    counts = [sum(map(Shard(number, 8).holds, names)) for number in range(1, 9)]
    assert sum(counts) == 8000 and all(900 < count < 1100 for count in counts)


def test_a_name_of_any_bytes_has_a_share() -> None:
    assert sum(Shard(number, 3).holds("caf\udce9") for number in (1, 2, 3)) == 1


def test_all_shares_follow_from_ones_own() -> None:
    assert list(map(str, Shard(3, 4).all_from_here())) == ["3/4", "4/4", "1/4", "2/4"]


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({}, None),
        ({"WORLD_SIZE": "4", "RANK": "2"}, None),  # Lightning's own processes find the cache full
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "RANK": "2"}, Shard(3, 4)),
        ({"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "1", "RANK": "0"}, None),
    ],
)
def test_a_process_of_torchrun_has_a_share(
    variables: dict[str, str], own: Shard | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert own_shard() == own
