"""The options of `m2fp-kd benchmark`."""

import pytest

from m2fp_kd.cli import main
from m2fp_kd.runtime.engines import ENGINES, PRECISIONS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--threads", "0"], "must be a whole number of at least 1, not '0'"),
     (["--precision", "f8"], "invalid choice: 'f8'")],
)  # fmt: skip
def test_an_impossible_value_is_refused_with_the_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["benchmark", "artefact", *arguments])
    assert left.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--photos", "nowhere"], "m2fp-kd: no photos under nowhere"),
     (["--data", "nowhere"], "m2fp-kd: nowhere has neither Testing nor Validation")],
)  # fmt: skip
def test_missing_photos_are_named_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "artefact", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(message)


def test_the_help_names_every_engine_and_precision(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "-h"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*ENGINES, *PRECISIONS))
