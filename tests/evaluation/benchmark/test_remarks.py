from m2fp_kd.evaluation.benchmark.comparison import Row
from m2fp_kd.evaluation.benchmark.remarks import remarks


def test_a_machine_that_was_not_idle_is_named() -> None:
    def row(name: str, other_cores: float | None) -> Row:
        return Row(name, False, "openvino", "f32", 1, 1, p50_ms=5.0, round_p50_ms=[5.0], other_cores=other_cores)

    assert not any("Other processes" in sentence for sentence in remarks([row("a", 0.1), row("b", None)]))
    (busy,) = [one for one in remarks([row("a", 0.1), row("b", 1.5)]) if "Other processes" in one]
    assert busy.startswith("Other processes used up to 1.50 cores while 1 of 2 rows were measured")


def test_unsteady_rounds_are_named() -> None:
    row = Row("a", False, "openvino", "f32", 1, 1, p50_ms=5.0, round_p50_ms=[4.0, 6.0])
    assert any("a median differed by a factor of 1.50 between rounds" in sentence for sentence in remarks([row]))
