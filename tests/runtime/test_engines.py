"""Engines agree, report their precision, and explain what they cannot do."""

import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.runtime import engines
from m2fp_kd.runtime.engines import EngineError, open_engine
from tests.runtime.tiny_onnx import IMAGES, write_onnx


@pytest.fixture(params=[name for name, suffixes in engines.ENGINES.items() if ".onnx" in suffixes])
def engine_name(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def test_runs_any_batch_and_canvas(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name, threads=1)
    assert (engine.name, engine.precision, engine.outputs) == (engine_name, "f32", ("part_map",))
    for images in (IMAGES, IMAGES[:1], IMAGES[:, :, ::2]):
        part_map = engine(images)["part_map"]
        assert part_map.dtype == np.uint8
        np.testing.assert_array_equal(part_map, images.argmax(axis=3))
        np.testing.assert_array_equal(engine({"images": images})["part_map"], part_map)


def test_onnxruntime_computes_products_with_int8_weights_alone_in_float(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("Transpose", ["values"], ["rows"], perm=[0, 1, 3, 2]),
        helper.make_node("DequantizeLinear", ["weights", "scales"], ["factors"], axis=1),
        helper.make_node("MatMul", ["rows", "factors"], ["part_logits"]),
    ]
    draws = np.random.default_rng(0)
    weights, scales = draws.integers(-127, 128, (64, 64), np.int8), draws.uniform(0.01, 0.02, 64).astype(np.float32)
    write_onnx(tmp_path / "model.onnx", nodes, ["N", 32, 64, 3], {"weights": weights, "scales": scales})
    found = open_engine(tmp_path / "model.onnx", "onnxruntime")(IMAGES)["part_logits"]
    expected = IMAGES.transpose(0, 1, 3, 2) @ (weights * scales).astype(np.float64)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


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


def test_results_are_not_overwritten_by_the_next_run(artefact, engine_name):
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


def test_the_first_inferences_of_two_threads_do_not_wait_for_each_other(artefact):
    """Runs in a new process, because the first inference sets up NumPy's types once per process."""
    pytest.importorskip("openvino")
    program = f"""
import threading
import numpy as np
from m2fp_kd.runtime.engines import open_engine
engines = [open_engine({str(artefact() / "model.onnx")!r}, "openvino", threads=1) for _ in range(4)]
together = threading.Barrier(4)
def first(engine):
    together.wait()
    engine(np.zeros((1, 32, 32, 3), np.uint8))
threads = [threading.Thread(target=first, args=(engine,)) for engine in engines]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, timeout=60)
        assert done.returncode == 0


def test_auto_reports_the_chosen_precision(artefact, engine_name):
    engine = open_engine(artefact() / "model.onnx", engine_name, precision="auto")
    assert engine.precision in ("f32", "bf16", "f16")


@pytest.mark.parametrize("machine", ["aarch64", "arm64", "ARM64"])
def test_arm_prefers_onnxruntime_and_openvino_replaces_it(artefact, monkeypatch, machine):
    path = artefact() / "model.onnx"
    installed = {"openvino", "onnxruntime"}
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(engines, "find_spec", lambda name: name if name in installed else None)
    pytest.importorskip("onnxruntime")
    assert engines.engines_for(path) == ["onnxruntime", "openvino"]
    assert engines.engines_for(Path("model.xml")) == ["openvino"]
    assert open_engine(path).name == "onnxruntime"
    installed.remove("onnxruntime")
    pytest.importorskip("openvino")
    assert open_engine(path).name == "openvino"


def test_an_engine_built_for_another_machine_is_named_with_the_fix(tmp_path, monkeypatch):
    elf_of_32_bits = b"\x7fELF\x01\x01\x01".ljust(16, b"\0") + b"\3\0\x28\0\1\0\0\0" + bytes(64)
    (tmp_path / "ncnn.so").write_bytes(elf_of_32_bits)
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.split(".")[0] == "ncnn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "m2fp_kd.runtime.engines.ncnn", raising=False)
    with pytest.raises(EngineError) as failed:
        open_engine(tmp_path / "model.param", "ncnn")
    assert re.fullmatch(
        r"ncnn is installed, but does not load on this machine \(\w+\): \S*ncnn\.so: wrong ELF class: ELFCLASS32; if "
        r"it was built for another machine, pip install --force-reinstall ncnn, else install the library that it lacks",
        str(failed.value),
    )


def test_a_broken_model_is_named(tmp_path, engine_name):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(EngineError, match=rf"broken\.onnx: {engine_name} cannot load it"):
        open_engine(path, engine_name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "tensorrt"},
            "unknown engine 'tensorrt'; choose from openvino, onnxruntime, torchscript, torch_export",
        ),
        ({"precision": "f8"}, "unknown precision 'f8'; choose from f32, auto"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_invalid_options_name_the_valid_ones(artefact, options, message):
    with pytest.raises(EngineError, match=message):
        open_engine(artefact() / "model.onnx", **options)


@pytest.mark.parametrize(
    ("file", "engine", "message"),
    [
        ("model.xml", "onnxruntime", r"onnxruntime runs \.onnx files, not model\.xml; use the openvino engine"),
        ("model.onnx", "torchscript", r"torchscript runs \.pt files, not model\.onnx; use the openvino or onnxruntime"),
        ("model.pt", "openvino", r"openvino runs \.onnx and \.xml files, not model\.pt; use the torchscript engine"),
        ("model.pt", "torch_export", r"torch_export runs \.pt2 files, not model\.pt; use the torchscript engine"),
        ("model.pt2", "torchscript", r"torchscript runs \.pt files, not model\.pt2; use the torch_export engine"),
        (
            "model.h5",
            None,
            r"no engine runs such files; export one of \.onnx, \.xml, \.pt, \.pt2, \.pte, \.tflite, \.param",
        ),
    ],
)
def test_an_engine_that_cannot_run_a_file_names_one_that_can(tmp_path, file, engine, message):
    with pytest.raises(EngineError, match=message):
        open_engine(tmp_path / file, engine)


@pytest.mark.parametrize("missing", [{"openvino"}, {"onnxruntime"}, set()])
def test_metadata_are_read_without_the_onnx_package(artefact, monkeypatch, missing):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in missing else find_spec(name))
    path = artefact() / "model.onnx"
    assert '"colours"' in engines.read_metadata(path, "m2fp_kd.card")
    assert engines.read_metadata(path, "something else") is None
