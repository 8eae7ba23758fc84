"""The engine OpenVINO: sizes, streams, and when it is chosen."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import m2fp_kd
from m2fp_kd.runtime import engines
from m2fp_kd.runtime.engines import EngineError, open_engine
from m2fp_kd.runtime.parser import Parser
from tests.runtime.tiny_onnx import IMAGES, write_onnx


def test_openvino_takes_one_photo_where_sizes_are_fixed_and_numpy_takes_a_last_logarithm(tmp_path):
    pytest.importorskip("openvino")
    onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=types.FLOAT),
        helper.make_node("Exp", ["values"], ["exponentials"]),
        helper.make_node("Log", ["exponentials"], ["part_logits"]),
    ]
    write_onnx(tmp_path / "model.onnx", nodes, ["N", *IMAGES.shape[1:]])
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
    write_onnx(tmp_path / "model.onnx", nodes, ["N", "H", "W", 3], constants)
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
    write_onnx(tmp_path / "int8.onnx", [cast, *rounded], [1, 32, 64, 3], {"one": one, "zero": zero})
    write_onnx(tmp_path / "fp32.onnx", [cast, *plain], [1, 32, 64, 3], {"one": one})
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
