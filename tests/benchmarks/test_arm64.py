"""Parity on Arm: what counts as agreement, and what is missing for the emulator. The emulator: tests/runtime."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.arm64.__main__ import rows
from benchmarks.arm64.compare import Parity, parity
from benchmarks.arm64.emulator import Emulator, EmulatorError, wanted


def answers(part_map: np.ndarray, logits: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "machine": np.array("aarch64"),
        "engine/0": np.array("onnxruntime"),
        "seconds/0": np.array(2.0),
        "map/0/0": part_map,
        "map/0/1": np.zeros_like(part_map),
        "part_logits/0/0": logits,
    }


def test_parity_is_over_all_photos_and_names_the_worst() -> None:
    here, logits = np.zeros((50, 100), np.uint8), np.array([0.0, 2.0], np.float32)
    here[:5] = 1
    there = here.copy()
    there[0, 0] = 3
    found = parity(answers(here, logits), answers(there, logits + 0.01), 0, "fp32")
    assert (found.pixels, found.worst, found.shown, found.seconds) == pytest.approx((0.9999, 0.9998, 0.05, 2.0))
    assert found.logits == pytest.approx(0.01)
    assert not found.holds, "the logits differ by 1 %"
    (row,) = rows(["a"], {"cortex-a76": [found]})
    assert (row["same part [%]"], row["worst photo [%]"], row["holds"]) == ("99.990", "99.980", "NO")


@pytest.mark.parametrize(
    ("precision", "pixels", "shown", "holds"),
    [
        ("fp32", 0.9999, 0.1, True),
        ("fp32", 0.9998, 0.1, False),
        ("int8", 0.995, 0.1, True),
        ("int8", 0.994, 0.1, False),
        ("fp32", 1.0, 0.0, False),
    ],
)
def test_the_limits_and_networks_that_show_nothing(precision: str, pixels: float, shown: float, holds: bool) -> None:
    assert Parity("onnxruntime", precision, pixels, pixels, 0.0, shown, 1.0).holds is holds


def test_a_missing_or_old_emulator_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert Emulator(tmp_path).missing() == f"{tmp_path} holds no emulator; run make arm64"
    (tmp_path / "made_of").write_text("earlier versions")
    assert "other versions than constraints.txt; run make arm64" in str(Emulator(tmp_path).missing())
    (tmp_path / "made_of").write_text(wanted())
    assert Emulator(tmp_path).missing() is None
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert Emulator(tmp_path).missing() == "compares Arm with x86-64, but this machine is aarch64"


def test_another_system_than_debian_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "fedora"})
    with pytest.raises(EmulatorError, match="needs Debian on x86-64 with apt-get, dpkg-deb, tar"):
        Emulator(tmp_path / "new").prepare()
    assert not (tmp_path / "new").exists()
