import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.data.layouts import held_out_records, held_out_split
from m2fp_kd.evaluation.benchmark.comparison import Row
from m2fp_kd.evaluation.benchmark.score import main
from m2fp_kd.evaluation.benchmark.suite import remarks
from tests.evaluation.tiny import write_artefact, write_stripes


def test_the_held_out_split_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artefact = write_artefact(tmp_path / "artefact")
    write_stripes(tmp_path / "data", "Validation", 3)
    wrong = tmp_path / "data" / "Validation" / "Category_ids" / "2.png"
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(wrong)
    main([str(artefact), "--data", str(tmp_path / "data"), "--engine", "onnxruntime", "--threads", "1"])
    scores = json.loads(capsys.readouterr().out)
    assert (scores["split"], scores["photos"]) == ("Validation", 3)
    # Two photos of three equal stripes are parsed perfectly; the label of the third is all background.
    assert scores["iou"] == {
        "background": pytest.approx(3 / 5),
        "green": pytest.approx(2 / 3),
        "blue": pytest.approx(2 / 3),
    }
    assert scores["miou"] == pytest.approx((3 / 5 + 4 / 3) / 3)


def test_parts_that_the_labels_never_name_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of a smaller label set fit into the artefact's range, but its other parts never occur."""
    artefact = write_artefact(tmp_path / "artefact")
    write_stripes(tmp_path / "data", "Validation", 2)
    for file in (tmp_path / "data" / "Validation" / "Category_ids").iterdir():
        Image.fromarray(np.arange(32 * 48, dtype=np.uint8).reshape(32, 48) % 2).save(file)
    main([str(artefact), "--data", str(tmp_path / "data"), "--engine", "onnxruntime", "--threads", "1"])
    assert json.loads(capsys.readouterr().out)["absent"] == ["blue"]
    row = Row("student", False, "onnxruntime", "f32", 1, 1, absent=["blue"])
    (sentence,) = [line for line in remarks([row]) if "never name" in line]
    assert sentence.startswith("The labels never name blue, which student has.")


def test_the_testing_split_is_preferred_to_validation(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither Testing nor Validation"):
        held_out_split(tmp_path)
    write_stripes(tmp_path, "Validation", 2)
    assert held_out_split(tmp_path) == "Validation"
    write_stripes(tmp_path, "Testing", 4)
    assert held_out_split(tmp_path) == "Testing"
    assert len(held_out_records(tmp_path)) == 4
    assert held_out_records(tmp_path, 2) == held_out_records(tmp_path, 2) and len(held_out_records(tmp_path, 2)) == 2
