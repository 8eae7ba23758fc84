"""What OpenVINO compiled is kept for the next start, and never mistaken for another model's."""

import os

import numpy as np
import pytest

from m2fp_kd.runtime.engines import compiled, open_engine
from m2fp_kd.runtime.engines.compiled import compiled_folder, read_compiled
from m2fp_kd.runtime.parser import Parser

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx", reason="making ONNX files needs the compress extra")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compiled_files(cache):
    return {file: file.stat().st_mtime_ns for file in cache.rglob("*.blob")}


def parse(model):
    return open_engine(model, "openvino", threads=1, keep=True)(IMAGES)["part_map"]


def test_a_second_start_takes_what_the_first_one_compiled(artefact, cache):
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


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: content[::-1]])
def test_a_broken_compiled_model_is_compiled_again(artefact, cache, damage):
    model = artefact() / "model.onnx"
    parse(model)
    (file,) = compiled_files(cache)
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(damage(content))
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))
    assert read_compiled(file) is not None


def test_without_a_cache_a_model_runs_all_the_same(artefact, cache):
    cache.write_text("a file where the folder should be")
    model = artefact() / "model.onnx"
    assert compiled_folder(model) is None
    np.testing.assert_array_equal(parse(model), IMAGES.argmax(axis=3))


def test_a_folder_that_another_process_takes_away_does_no_harm(artefact, cache, monkeypatch):
    def gone(root):
        raise FileNotFoundError(root)

    monkeypatch.setattr(compiled, "_make_room", gone)
    assert compiled_folder(artefact() / "model.onnx") is None


def test_models_that_are_tried_once_are_not_kept(artefact, cache):
    Parser.load(artefact(), "openvino", keep=False)
    open_engine(artefact() / "model.onnx", "openvino")
    assert not cache.exists()


def test_the_models_used_longest_ago_make_room(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(compiled, "KEPT", 2)
    folders = []
    for index, name in enumerate(["a", "b", "a", "c"]):
        model = tmp_path / f"{name}.onnx"
        model.write_text(name)
        folders.append(compiled_folder(model))
        os.utime(folders[-1], (index, index))
    left = set((cache / "m2fp-kd" / "openvino").iterdir())
    assert left == {folders[2], folders[3]}
