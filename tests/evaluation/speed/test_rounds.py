import pytest

from m2fp_kd.evaluation.speed.measure import Measurement
from m2fp_kd.evaluation.speed.rounds import pool, turns


def measurement(times: list[float], **more: object) -> Measurement:
    return Measurement(
        sorted(times)[len(times) // 2], max(times), len(times), "", 2, "e", "f32", {}, times_ms=times, **more
    )


def test_each_round_has_every_item_once_and_starts_with_the_next() -> None:
    assert "".join(turns("abc", 4)) == "abc" + "bca" + "cab" + "abc"
    assert list(turns([], 2)) == []


def test_calls_of_all_rounds_are_pooled_and_the_first_start_is_kept_apart() -> None:
    first = measurement([1.0, 2, 3], load_ms=10, first_ms=100, peak_mb=150, empty_mb=40, megabytes=5, network=[64, 32])
    second = measurement([11.0, 12, 13], load_ms=20, first_ms=300, peak_mb=160, empty_mb=55, megabytes=5)
    pooled = pool([first, second])
    assert (pooled.p50_ms, pooled.runs, pooled.round_p50_ms) == (7, 6, [2, 12])  # half-way between 3 and 11
    assert pooled.p95_ms == pytest.approx(12.75)
    assert (pooled.load_ms, pooled.first_ms, pooled.restart_ms) == (10, 100, 300)
    assert (pooled.peak_mb, pooled.inference_mb) == (160, 110)
    assert (pooled.engine, pooled.precision, pooled.megabytes) == ("e", "f32", 5)


def test_what_no_round_measured_stays_unknown() -> None:
    pooled = pool([measurement([1.0])])
    assert pooled.load_ms is pooled.restart_ms is pooled.peak_mb is pooled.inference_mb is pooled.megabytes is None
