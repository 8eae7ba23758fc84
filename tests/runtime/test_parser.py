"""Photos in, part maps and persons out."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime.artefact import Card, load_card, save_card, save_checks
from m2fp_kd.runtime.checks import CheckResults, Latency
from m2fp_kd.runtime.engines import Engine, EngineError
from m2fp_kd.runtime.geometry import Geometry, PhotoError, restore_map
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.runtime.part_map import part_map
from tests.runtime.conftest import COLOURS


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_photo_is_parsed_at_its_own_size(artefact, stripes, engine, fixed):
    pytest.importorskip(engine)
    parser = Parser.load(artefact(fixed), engine=engine, threads=1)
    parsing = parser(stripes)
    assert parsing.part_map.shape == (45, 90) and parsing.part_map.dtype == np.uint8
    truth = np.repeat([0, 1, 2], 30)
    assert (parsing.part_map == truth).mean() > 0.97, "all but the blended borders"
    np.testing.assert_array_equal(parser.part_map(stripes), parsing.part_map)
    assert parsing.labels.name == "colours"
    assert parsing.people_kind == "regions" and len(parsing.people) == 1
    assert set(parsing.timings) == {"read", "place", "network", "restore"}
    assert all(value >= 0 for value in parsing.timings.values())
    assert parsing.shares == pytest.approx({"background": 1 / 3, "green": 1 / 3, "blue": 1 / 3}, abs=0.03)


@pytest.mark.parametrize("size", [(45, 90), (300, 140)])
def test_part_logits_are_interpolated_to_the_photo_and_a_part_map_alone_is_enlarged(size):
    logits = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype(np.float32)
    card = Card(COLOURS.to_dict(), asdict(Geometry(64)), "fp32", "fpn")
    outputs = {"part_logits": logits, "part_map": logits.argmax(axis=1).repeat(4, 1).repeat(4, 2).astype(np.uint8)}
    found = {}
    for name, values in outputs.items():
        engine = Engine("none", "f32", (name,), lambda images, name=name, values=values: {name: values}, None)
        found[name] = Parser(engine, card)(np.zeros((*size, 3), np.uint8))
    smooth, blocky = found["part_logits"], found["part_map"]
    np.testing.assert_array_equal(smooth.part_map, part_map(logits[0], smooth.placement))
    np.testing.assert_array_equal(blocky.part_map, restore_map(blocky.outputs["part_map"], blocky.placement))


def test_a_list_gives_a_list_of_the_same(artefact, stripes):
    parser = Parser.load(artefact())
    one = parser(stripes)
    for parsing in parser([stripes, Image.fromarray(stripes)]):
        np.testing.assert_array_equal(parsing.part_map, one.part_map)
    assert parser([]) == []


def test_the_photos_of_a_list_share_calls_where_their_canvases_agree():
    calls = []

    def run(images):
        calls.append(images.shape)
        return {"part_map": images.argmax(axis=3).astype(np.uint8)}

    for most, expected in ((None, [(2, 32, 64, 3), (1, 64, 32, 3), (1, 32, 64, 3)]), (1, [(1, 32, 64, 3)] * 2)):
        calls.clear()
        card = Card(COLOURS.to_dict(), asdict(Geometry(64, fixed=False)), "fp32", "fpn")
        parser = Parser(Engine("none", "f32", ("part_map",), run, most), card)
        sizes = [(30, 60), (32, 64), (60, 30), (16, 32)][: None if most is None else 2]
        photos = [
            np.random.default_rng(index).integers(0, 256, (*size, 3), np.uint8) for index, size in enumerate(sizes)
        ]
        together = parser(photos)
        assert calls == expected
        for photo, parsing in zip(photos, together, strict=True):
            np.testing.assert_array_equal(parsing.part_map, parser(photo).part_map)
            assert set(parsing.timings) == {"read", "place", "network", "restore"}


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
    parsing = Parser.load(artefact())(photo)
    assert [int(person.mask.sum()) for person in parsing.people] == [600, 144]
    assert [(person.box, person.score) for person in parsing.people] == [
        ((30, 40, 60, 60), None),
        ((8, 8, 20, 20), None),
    ]


def test_a_broken_photo_is_an_error(artefact):
    with pytest.raises(PhotoError):
        Parser.load(artefact())(b"not a photo")


def test_an_artefact_without_its_outputs_is_an_error(people_artefact, artefact):
    model = artefact() / "model.onnx"
    save_card(model, load_card(people_artefact / "model.onnx"))
    with pytest.raises(EngineError, match="no output class_logits, mask_logits, only part_map"):
        Parser.load(model)


def measured(p50_ms: float, fp32_p50_ms: float | None) -> Latency:
    return Latency(p50_ms, p50_ms, 1, "f32", "Some CPU", fp32_p50_ms)


@pytest.fixture
def int8_artefact(artefact) -> Callable[[dict[str, Latency]], Path]:
    """Make an INT8 artefact with these latencies."""

    def make(latency: dict[str, Latency]) -> Path:
        folder = artefact(precision="int8")
        save_checks(folder / "model.onnx", CheckResults(latency=latency))
        return folder

    return make


def warnings_of(path, engine: str) -> list[str]:
    """Load three times; return the warnings."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(3):
            Parser.load(path, engine, 1)
    return [str(warning.message) for warning in found]


def test_loading_int8_that_was_measured_slower_than_fp32_warns_once(int8_artefact):
    pytest.importorskip("openvino"), pytest.importorskip("onnxruntime")
    latency = {"onnxruntime": measured(89, 69), "openvino": measured(39, 57)}
    folder = int8_artefact(latency)
    (text,) = warnings_of(folder, "onnxruntime")
    assert text == (
        f"{folder}: onnxruntime ran INT8 slower than fp32: 89.0 and 69.0 ms a photo (Some CPU, threads: 1); "
        "`m2fp-kd bench FP32 INT8 --pick` chooses the faster file"
    )
    assert warnings_of(folder, "openvino") == [], "INT8 is faster in OpenVINO"


@pytest.mark.parametrize("latency", [{}, {"onnxruntime": measured(89, None)}, {"onnxruntime": measured(69, 69)}])
def test_loading_int8_without_a_slower_measurement_does_not_warn(int8_artefact, latency):
    pytest.importorskip("onnxruntime")
    assert warnings_of(int8_artefact(latency), "onnxruntime") == []


def test_the_runtime_imports_no_training_library(artefact):
    """Loading and parsing works where only NumPy, Pillow and an engine are installed."""
    program = f"""
import sys
import numpy as np
from m2fp_kd.runtime.parser import Parser
from tests.runtime.conftest import COLOURS
Parser.load({str(artefact())!r})(np.zeros((8, 8, 3), np.uint8))
heavy = {{"torch", "onnx", "scipy", "hydra", "yaml", "matplotlib"}} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
    path = ":".join(sys.path)
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
