"""Engines agree, report their precision, and explain what they cannot do."""

import importlib.util
import re
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import m2fp_kd
from m2fp_kd.runtime import engines
from m2fp_kd.runtime.engines import EngineError, open_engine
from m2fp_kd.runtime.parser import Parser

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 3), np.uint8)


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
    _write_model(tmp_path / "model.onnx", nodes, ["N", 32, 64, 3], {"weights": weights, "scales": scales})
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


def test_openvino_takes_one_photo_where_sizes_are_fixed_and_numpy_takes_a_last_logarithm(tmp_path):
    pytest.importorskip("openvino")
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("Exp", ["values"], ["exponentials"]),
        helper.make_node("Log", ["exponentials"], ["part_logits"]),
    ]
    _write_model(tmp_path / "model.onnx", nodes, ["N", *IMAGES.shape[1:]])
    images = IMAGES // 8
    whole = open_engine(tmp_path / "model.onnx", "openvino")
    assert whole.max_batch is None
    np.testing.assert_allclose(whole(images)["part_logits"], images, atol=1e-4)
    chosen = open_engine(tmp_path / "model.onnx", "openvino", outputs=["part_logits"])
    assert (chosen.max_batch, chosen.outputs) == (1, ("part_logits",))
    np.testing.assert_allclose(chosen(images[:1])["part_logits"], images[:1], atol=1e-4)


def test_openvino_compiles_int8_of_dynamic_size_once_per_size_for_all_threads(tmp_path, monkeypatch):
    openvino = pytest.importorskip("m2fp_kd.runtime.engines.openvino")
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("QuantizeLinear", ["values", "one", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["part_logits"]),
    ]
    constants = {"one": np.array(1, np.float32), "zero": np.array(0, np.uint8)}
    _write_model(tmp_path / "model.onnx", nodes, ["N", "H", "W", 3], constants)
    compiled = []
    compile_model = openvino._compile

    def watched(model, *how):
        compiled.append(model.input(0).partial_shape.to_string())
        time.sleep(0.1)
        return compile_model(model, *how)

    monkeypatch.setattr(openvino, "_compile", watched)
    engine = open_engine(tmp_path / "model.onnx", "openvino", threads=1, outputs=["part_logits"])
    with ThreadPoolExecutor(4) as pool:
        for images in [IMAGES[:1]] * 4 + [IMAGES[:1, :, ::2]] * 4:
            answers = pool.submit(engine, images), pool.submit(engine, images)
            for answer in answers:
                np.testing.assert_array_equal(answer.result()["part_logits"], images)
    assert engine.max_batch == 1 and compiled == ["[1,32,64,3]", "[1,32,32,3]"]
    first = engine(IMAGES[:1])["part_logits"]
    engine(255 - IMAGES[:1])
    np.testing.assert_array_equal(first, IMAGES[:1])


def test_openvino_gives_every_stream_of_an_int8_file_a_model_of_its_own(tmp_path, monkeypatch):
    """Models compiled for several streams answer wrongly in INT8 on CPUs with VNNI."""
    openvino = pytest.importorskip("m2fp_kd.runtime.engines.openvino")
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    cast = helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT)
    rounded = [
        helper.make_node("QuantizeLinear", ["values", "one", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["part_logits"]),
    ]
    plain = [helper.make_node("Mul", ["values", "one"], ["part_logits"])]
    one, zero = np.array(1, np.float32), np.array(0, np.uint8)
    _write_model(tmp_path / "int8.onnx", [cast, *rounded], [1, 32, 64, 3], {"one": one, "zero": zero})
    _write_model(tmp_path / "fp32.onnx", [cast, *plain], [1, 32, 64, 3], {"one": one})
    streams = []
    compile_model = openvino._compile

    def watched(model, settings, keep):
        streams.append((settings["NUM_STREAMS"], settings["INFERENCE_NUM_THREADS"]))
        return compile_model(model, settings, keep)

    monkeypatch.setattr(openvino, "_compile", watched)
    for name, expected in (("int8", [(1, 2)] * 3), ("fp32", [(3, 6)])):
        engine = open_engine(tmp_path / f"{name}.onnx", "openvino", threads=2, streams=3, outputs=["part_logits"])
        with ThreadPoolExecutor(3) as pool:
            for answer in pool.map(engine, [IMAGES[:1]] * 6):
                np.testing.assert_array_equal(answer["part_logits"], IMAGES[:1])
        assert streams == expected
        streams.clear()


@pytest.mark.parametrize("streams", [2, 3])
def test_the_demo_answers_alike_in_every_stream(streams):
    pytest.importorskip("openvino")
    demo = Path(m2fp_kd.__file__).parent / "demo"
    alone = Parser.load(demo, "openvino", threads=1, keep=False)
    side = alone.geometry.size
    canvas = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), np.uint8)
    expected = alone.engine(canvas)["part_logits"]
    for _ in range(3):  # every compilation went wrong in another way, or not at all
        engine = Parser.load(demo, "openvino", threads=1, streams=streams, keep=False).engine
        with ThreadPoolExecutor(streams) as pool:
            for answer in pool.map(engine, [canvas] * 2 * streams):
                np.testing.assert_allclose(answer["part_logits"], expected, atol=1e-4)


def _write_model(path, nodes, shape, constants=None):
    """A graph from uint8 `images` to float `part_logits`, both of this shape."""
    import onnx

    ends = [
        [onnx.helper.make_tensor_value_info(name, kind, shape)]
        for name, kind in (("images", onnx.TensorProto.UINT8), ("part_logits", onnx.TensorProto.FLOAT))
    ]
    constants = [onnx.numpy_helper.from_array(values, name) for name, values in (constants or {}).items()]
    graph = onnx.helper.make_graph(nodes, "made for a test", *ends, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


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


def test_openvino_is_preferred_and_onnxruntime_replaces_it(artefact, monkeypatch):
    path = artefact() / "model.onnx"
    installed = {"openvino", "onnxruntime"}
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(engines, "find_spec", lambda name: name if name in installed else None)
    pytest.importorskip("openvino")
    assert open_engine(path).name == "openvino"
    installed.remove("openvino")
    assert open_engine(path).name == "onnxruntime"
    with pytest.raises(EngineError, match=r"openvino is not installed: pip install .*\[serve\]"):
        open_engine(path, "openvino")
    installed.clear()
    with pytest.raises(EngineError, match="openvino or onnxruntime is not installed"):
        open_engine(path)


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


@pytest.mark.parametrize("file", ["model.pt", "model.pt2"])
def test_without_torch_its_files_name_the_package_to_install(tmp_path, monkeypatch, file):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"torch is not installed: pip install .*\[train\]"):
        open_engine(tmp_path / file)


@pytest.fixture(params=["torchscript", "torch_export"])
def torch_model(request, tmp_path):
    """A TorchScript or torch.export file: the strongest channel, and the mean of each photo."""
    torch = pytest.importorskip("torch")

    class Strongest(torch.nn.Module):
        def forward(self, images):
            return images.argmax(3).to(torch.uint8), images.float().mean((1, 2, 3))

    example, extra = torch.zeros(2, 32, 64, 3, dtype=torch.uint8), {"outputs": '["part_map", "mean"]'}
    if request.param == "torchscript":
        path = tmp_path / "model.pt"
        torch.jit.save(torch.jit.trace(Strongest(), (example,)), path, _extra_files=extra)
    else:
        path = tmp_path / "model.pt2"
        program = torch.export.export(Strongest(), (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        program.example_inputs = None
        torch.export.save(program, path, extra_files=extra)
    return request.param, path


def test_torch_engines_keep_the_contract(torch_model):
    import torch

    name, path = torch_model
    before = torch.get_num_threads()
    engine = open_engine(path, threads=before + 1, precision="auto")
    assert (engine.name, engine.precision, engine.outputs) == (name, "f32", ("part_map", "mean"))
    first = engine(IMAGES)
    np.testing.assert_array_equal(first["part_map"], IMAGES.argmax(axis=3))
    np.testing.assert_allclose(first["mean"], IMAGES.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert torch.get_num_threads() == before  # the number is global to the process, which may be training
    kept = first["part_map"].copy()
    readonly = 255 - IMAGES
    readonly.flags.writeable = False
    engine(readonly)
    np.testing.assert_array_equal(first["part_map"], kept)
    assert set(open_engine(path, name, outputs=["mean"])(IMAGES[:1])) == {"mean"}
    with pytest.raises(EngineError, match="no output part_score, only part_map, mean"):
        open_engine(path, outputs=["part_score"])


def test_torch_engines_run_in_as_many_threads_as_asked(tmp_path):
    torch = pytest.importorskip("torch")
    from m2fp_kd.runtime.engines.pytorch import torch_engine

    def threads(images):
        return (torch.tensor([torch.get_num_threads()]),)

    wanted = torch.get_num_threads() + 2
    engine = torch_engine("torchscript", threads, tmp_path / "model.pt", ["number"], wanted, None)
    assert engine(IMAGES)["number"] == wanted


@pytest.mark.parametrize(("file", "engine"), [("model.pt", "torchscript"), ("model.pt2", "torch_export")])
def test_a_broken_or_foreign_archive_is_named(tmp_path, file, engine):
    pytest.importorskip("torch")
    path = tmp_path / file
    path.write_bytes(b"no archive")
    with pytest.raises(EngineError, match=rf"{file}: is broken"):
        open_engine(path, engine)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    with pytest.raises(EngineError, match=rf"{file}: does not name its outputs; was it exported by m2fp-kd"):
        open_engine(path)


@pytest.mark.parametrize("missing", [{"openvino"}, {"onnxruntime"}, set()])
def test_metadata_are_read_without_the_onnx_package(artefact, monkeypatch, missing):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in missing else find_spec(name))
    path = artefact() / "model.onnx"
    assert '"colours"' in engines.read_metadata(path, "m2fp_kd.card")
    assert engines.read_metadata(path, "something else") is None
