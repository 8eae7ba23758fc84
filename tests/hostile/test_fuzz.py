"""A second of the fuzz that `make fuzz` runs for minutes."""

import pytest

from m2fp_kd.runtime import geometry
from tests.hostile import fuzz, images


@pytest.mark.filterwarnings("ignore")
def test_mutated_photos_are_read_or_refused() -> None:
    found = fuzz.fuzz(1, seed=1)
    assert found["read"] and any(result.startswith("refused") for result in found)
    assert not [result for result in found if result.startswith("DEFECT")]


def test_the_fuzz_finds_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(geometry, "_upright_rgb", broken)
    assert fuzz.outcome(images.SEEDS["png"]()) == "refused: KeyError"
    monkeypatch.setattr(fuzz, "read_photo", lambda *_, **__: broken(None))
    assert fuzz.outcome(b"") == "DEFECT: KeyError: 'x'"
