"""`m2fp-kd diff` on drawn photos."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd import DEMO
from m2fp_kd.cli import main
from m2fp_kd.data.synthetic import write_dataset
from m2fp_kd.runtime.artefact import find_model, load_card


def test_an_artefact_does_not_differ_from_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path, "Validation", range(2), 96)
    parts = load_card(find_model(DEMO)).labels.num_parts
    for path in (tmp_path / "Validation" / "Category_ids").glob("*.png"):  # drawn scenes have CIHP's 20 parts
        Image.fromarray(np.array(Image.open(path)) % parts).save(path)
    assert main(["diff", str(DEMO), str(DEMO), "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    changes = [line.split("|")[-2].strip() for line in capsys.readouterr().out.splitlines()[2:] if "|" in line]
    assert changes and set(changes) <= {"0.0", "–"}
    assert " 0.0 % of the labelled pixels were fixed" in (tmp_path / "out" / "differences.html").read_text()


@pytest.mark.parametrize(("option", "value"), [("--limit", "0"), ("--photos", "-1"), ("--photos", "few")])
def test_an_impossible_number_of_photos_is_refused(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["diff", str(DEMO), str(DEMO), "--data", str(tmp_path), option, value])
    assert stopped.value.code == 2 and f"{option}: must be a whole number of at least" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["artefact", "data"])
def test_a_missing_path_is_named(tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path / "photos", "Validation", range(1), 64)
    second, data = (tmp_path, tmp_path / "photos") if missing == "artefact" else (DEMO, tmp_path)
    assert main(["diff", str(DEMO), str(second), "--data", str(data)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
