"""Photos in, part maps and persons out."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.artefact import load_card, save_card
from m2fp_kd.runtime.engines import EngineError
from m2fp_kd.runtime.geometry import PhotoError
from m2fp_kd.runtime.parser import Parser


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_photo_is_parsed_at_its_own_size(artefact, stripes, engine, fixed):
    pytest.importorskip(engine)
    parser = Parser.load(artefact(fixed), engine=engine, threads=1)
    parsing = parser(stripes)
    assert parsing.part_map.shape == (45, 90) and parsing.part_map.dtype == np.uint8
    truth = np.repeat([0, 1, 2], 30)
    assert (parsing.part_map == truth).mean() > 0.97, "all but the blended borders"
    assert parsing.labels.name == "colours"
    assert parsing.people == [] and parsing.people_kind == "none"
    assert set(parsing.timings) == {"read", "place", "network", "restore"}
    assert all(value >= 0 for value in parsing.timings.values())
    assert parsing.shares == pytest.approx({"background": 1 / 3, "green": 1 / 3, "blue": 1 / 3}, abs=0.03)


def test_a_list_gives_a_list_of_the_same(artefact, stripes):
    parser = Parser.load(artefact())
    one = parser(stripes)
    for parsing in parser([stripes, Image.fromarray(stripes)]):
        np.testing.assert_array_equal(parsing.part_map, one.part_map)
    assert parser([]) == []


def test_the_persons_of_a_mask_classification_artefact(people_artefact):
    photo = np.zeros((180, 225, 3), np.uint8)
    parser = Parser.load(people_artefact)
    parsing = parser(photo)
    assert parsing.people_kind == "persons"
    assert [round(person.score, 3) for person in parsing.people] == [0.675, 0.527, 0.449]
    assert all(person.mask.shape == (180, 225) for person in parsing.people)
    assert set(parsing.timings) == {"read", "place", "network", "restore", "people"}


def test_regions_are_separate_blobs_of_parts(artefact):
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[..., 0] = 100
    photo[8:20, 8:20] = (0, 200, 0)
    photo[40:60, 30:60] = (0, 0, 200)
    photo[2, 2] = (0, 200, 0)
    found = Parser.load(artefact())(photo).regions()
    assert [int(region.sum()) for region in found] == [600, 144]


def test_a_broken_photo_is_an_error(artefact):
    with pytest.raises(PhotoError):
        Parser.load(artefact())(b"not a photo")


def test_an_artefact_without_its_outputs_is_an_error(people_artefact, artefact):
    model = artefact() / "model.onnx"
    save_card(model, load_card(people_artefact / "model.onnx"))
    with pytest.raises(EngineError, match="no output class_logits, mask_logits, only part_map"):
        Parser.load(model)


def test_the_runtime_imports_no_training_library(artefact):
    """Loading and parsing works where only NumPy, Pillow and an engine are installed."""
    program = f"""
import sys
import numpy as np
from m2fp_kd.runtime.parser import Parser
Parser.load({str(artefact())!r})(np.zeros((8, 8, 3), np.uint8))
heavy = {{"torch", "onnx", "scipy", "hydra", "yaml", "matplotlib"}} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
    path = ":".join(sys.path)
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
