"""Compiled OpenVINO models are cached, and never loaded for another model."""

import os

import numpy as np
import pytest

from m2fp_kd.runtime.engines import compiled, open_engine
from m2fp_kd.runtime.engines.compiled import compiled_file, read_compiled, write_compiled
from m2fp_kd.runtime.parser import Parser

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiled_files(cache):
    return {file: file.read_bytes() for file in cache.rglob("*.blob")}


def parse(model):
    return open_engine(model, "openvino", threads=1, keep=True)(IMAGES)["part_map"]


def test_a_second_start_loads_what_the_first_one_compiled(artefact, cache):
    model = artefact() / "model.onnx"
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))
    kept = compiled_files(cache)
    assert len(kept) == 1
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))
    assert compiled_files(cache) == kept


def test_a_model_overwritten_in_place_is_another_model(artefact, cache):
    model = artefact() / "model.onnx"
    parse(model)
    before = model.stat()
    graph = onnx.load(model)
    next(node for node in graph.graph.node if node.op_type == "ArgMax").op_type = "ArgMin"
    onnx.save(graph, model)
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert model.stat().st_size == before.st_size
    np.testing.assert_array_equal(parse(model), IMAGES.argmin(axis=3))


def test_outputs_threads_and_precision_each_get_a_file(people_artefact, cache):
    model = people_artefact / "model.onnx"
    choices = [{"threads": 1}, {"threads": 2}, {"outputs": ["part_map"]}, {"precision": "auto"}]
    for count, choice in enumerate(choices, 1):
        for _ in range(2):
            engine = open_engine(model, "openvino", keep=True, **choice)
            np.testing.assert_array_equal(engine(IMAGES[:1])["part_map"], IMAGES[:1].argmax(axis=3))
            assert len(compiled_files(cache)) == count


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: content[::-1]])
def test_a_broken_compiled_model_is_compiled_again(artefact, cache, damage):
    model = artefact() / "model.onnx"
    parse(model)
    (file,) = compiled_files(cache)
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))
    assert read_compiled(file) is not None


def test_what_openvino_rejects_is_compiled_again(artefact, cache):
    model = artefact() / "model.onnx"
    parse(model)
    (file,) = compiled_files(cache)
    write_compiled(file, b"of another version")
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))
    assert read_compiled(file) != b"of another version"


def test_a_model_runs_without_a_cache(artefact, cache):
    cache.write_text("a file where the folder should be")
    model = artefact() / "model.onnx"
    assert compiled_file(model, {}) is None
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))


def test_a_folder_that_another_process_removes_does_no_harm(artefact, cache, monkeypatch):
    def gone(root):
        raise FileNotFoundError(root)

    monkeypatch.setattr(compiled, "_make_room", gone)
    assert compiled_file(artefact() / "model.onnx", {}) is None


def test_models_that_are_loaded_once_are_not_kept(artefact, cache):
    Parser.load(artefact(), "openvino", keep=False)
    open_engine(artefact() / "model.onnx", "openvino")
    assert not cache.exists()


def test_the_least_recently_used_files_are_removed(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(compiled, "KEPT", 2)
    model = tmp_path / "model.onnx"
    model.write_text("a model")
    files = [compiled_file(model, {"threads": threads}) for threads in range(3)]
    for index, file in enumerate(files):
        write_compiled(file, b"compiled")
        os.utime(file, (index, index))
    assert read_compiled(files[0]) == b"compiled"
    compiled_file(model, {})
    assert set(compiled_files(cache)) == {files[0], files[2]}
