"""Both engines give the same, say what they computed in, and explain what they cannot do."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from m2fp_kd.runtime import engines
from m2fp_kd.runtime.engines import EngineError, open_engine

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)


@pytest.fixture(params=engines.ENGINES)
def engine_name(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def test_runs_any_batch_and_canvas(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name, threads=1)
    assert (engine.name, engine.arithmetic, engine.outputs) == (engine_name, "f32", ("part_map",))
    for images in (IMAGES, IMAGES[:1], IMAGES[:, :, ::2]):
        part_map = engine(images)["part_map"]
        assert part_map.dtype == np.uint8
        np.testing.assert_array_equal(part_map, images.argmax(axis=3))
        np.testing.assert_array_equal(engine({"images": images})["part_map"], part_map)


def test_only_the_outputs_asked_for(people_artefact, engine_name):
    path = people_artefact / "model.onnx"
    assert set(open_engine(path, engine_name).outputs) == {"part_map", "class_logits", "mask_logits"}
    few = open_engine(path, engine_name, outputs=["mask_logits", "part_map"])(IMAGES)
    assert {name: values.shape for name, values in few.items()} == {
        "mask_logits": (1, 100, 32, 40),
        "part_map": (3, 32, 64),
    }
    with pytest.raises(EngineError, match=r"no output part_score, only part_map"):
        open_engine(path, engine_name, outputs=["part_score"])


def test_results_stay_what_they_are_when_the_engine_runs_again(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name)
    first = engine(IMAGES)["part_map"]
    kept = first.copy()
    engine(255 - IMAGES)
    np.testing.assert_array_equal(first, kept)


def test_callable_from_several_threads(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name, threads=1)
    with ThreadPoolExecutor(4) as pool:
        for images, outputs in pool.map(lambda index: (IMAGES + index, engine(IMAGES + index)), range(16)):
            np.testing.assert_array_equal(outputs["part_map"], images.argmax(axis=3))


def test_auto_says_what_it_chose(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name, arithmetic="auto")
    assert engine.arithmetic in ("f32", "bf16", "f16")


def test_openvino_is_preferred_and_onnxruntime_serves_without_it(artefact, monkeypatch):
    path = artefact() / "model.onnx"
    installed = {"openvino", "onnxruntime"}
    monkeypatch.setattr(engines, "find_spec", lambda name: name if name in installed else None)
    pytest.importorskip("openvino")
    assert open_engine(path).name == "openvino"
    installed.remove("openvino")
    assert open_engine(path).name == "onnxruntime"
    with pytest.raises(EngineError, match=r"openvino is not installed: pip install 'm2fp-kd\[serve\]'"):
        open_engine(path, "openvino")
    installed.clear()
    with pytest.raises(EngineError, match="openvino or onnxruntime is not installed"):
        open_engine(path)


def test_a_broken_model_is_named(tmp_path, engine_name):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EngineError, match=rf"broken\.onnx: {engine_name} cannot load it"):
        open_engine(path, engine_name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "unknown engine 'tensorrt'; choose from openvino, onnxruntime"),
        ({"arithmetic": "f8"}, "unknown arithmetic 'f8'; choose from f32, auto"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_wrong_options_name_the_right_ones(artefact, options, message):
    with pytest.raises(EngineError, match=message):
        open_engine(artefact() / "model.onnx", **options)


def test_onnxruntime_does_not_take_openvinos_files(tmp_path):
    with pytest.raises(EngineError, match=r"runs \.onnx files, not model\.xml; use the openvino engine"):
        open_engine(tmp_path / "model.xml", "onnxruntime")


@pytest.mark.parametrize("missing", [{"openvino"}, {"onnxruntime"}, set()])
def test_metadata_are_read_without_the_onnx_package(artefact, monkeypatch, missing):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in missing else find_spec(name))
    path = artefact() / "model.onnx"
    assert '"colours"' in engines.read_metadata(path, "m2fp_kd.card")
    assert engines.read_metadata(path, "something else") is None
