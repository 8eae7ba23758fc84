import pytest

from m2fp_kd.evaluation.report.numbers import number, points


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
