import pytest

from m2fp_kd.evaluation.report.numbers import number, points, setup


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0123,), "+1.2"),
        ((-0.0123,), "−1.2"),
        ((-0.0001,), "0.0"),
        ((0.1,), "+10.0"),
        ((-0.00481, 0.00139, 2), "−0.48 ± 0.14"),
        ((0.00001, 0.0, 2), "0.00 ± 0.00"),
    ],
)
def test_points_are_signed_unless_they_round_to_zero(arguments: tuple, text: str) -> None:
    assert points(*arguments) == text


@pytest.mark.parametrize(("value", "text"), [(0.854, "0.85"), (12.71, "12.7"), (252.6, "253"), (1234.5, "1,234")])
def test_numbers_have_three_figures_or_all_integer_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_setup_leaves_out_what_is_unknown() -> None:
    assert setup("openvino", "f32", 2) == "openvino · f32 · 2 threads"
    assert setup("pytorch", None, 1, batch=8) == "pytorch · 1 thread · batch 8"
    assert setup(None, None, None) == ""
