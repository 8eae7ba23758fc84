"""The engines of phones and boards: outputs, sizes, threads and broken files."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.runtime.engines import EngineError, open_engine
from m2fp_kd.runtime.engines.one_photo import one_photo_engine
from tests.runtime.tiny_tflite import cast_model

CANVASES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "model.tflite"
    path.write_bytes(cast_model(16))
    return path


def test_litert_runs_photos_one_by_one_from_several_threads(tflite: Path) -> None:
    engine = open_engine(tflite, threads=1)
    assert (engine.name, engine.outputs, engine.max_batch) == ("litert", ("part_logits",), 1)
    with ThreadPoolExecutor(4) as pool:
        for canvases, found in zip([CANVASES] * 8, pool.map(engine, [CANVASES] * 8), strict=True):
            np.testing.assert_array_equal(found["part_logits"], canvases.transpose(0, 3, 1, 2))


def test_a_canvas_of_another_size_is_refused(tflite: Path) -> None:
    with pytest.raises(EngineError, match=r"runs canvases of \(1, 16, 16, 3\) only, not of \(1, 16, 8, 3\)"):
        open_engine(tflite)(CANVASES[:1, :, :8])


@pytest.mark.parametrize(
    ("package", "name", "weights"),
    [("executorch", "model.pte", None), ("ai_edge_litert", "model.tflite", None), ("ncnn", "model.param", b"")],
)
@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 64])
def test_a_broken_file_is_named(package: str, name: str, weights: bytes | None, content: bytes, tmp_path: Path) -> None:
    pytest.importorskip(package)
    (tmp_path / name).write_bytes(content)
    if weights is not None:
        (tmp_path / name).with_suffix(".bin").write_bytes(weights)
    with pytest.raises(EngineError, match=name):
        open_engine(tmp_path / name)


def test_a_pte_file_of_another_version_is_named(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    path = tmp_path / "model.pte"
    path.write_bytes(b"\0\0\0\0ET11" + bytes(64))
    with pytest.raises(EngineError, match=r"model\.pte: another version of .* wrote it \(format ET11, but .* ET12"):
        open_engine(path)


def test_the_format_is_that_of_the_installed_executorch() -> None:
    executorch = pytest.importorskip("executorch")
    from m2fp_kd.runtime.engines.executorch import FORMAT

    (schema,) = (Path(folder) / "schema" / "program.fbs" for folder in executorch.__path__)
    assert f'file_identifier "{FORMAT.decode()}";' in schema.read_text()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "executorch", "ncnn"])
def test_a_tflite_file_in_another_engine_is_refused(engine: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{engine} runs .* files, not model\.tflite; use the litert engine"):
        open_engine(tmp_path / "model.tflite", engine)


def test_ncnn_without_its_weights_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    (tmp_path / "model.param").write_text("7767517\n1 1\nInput in0 0 1 in0\n")
    with pytest.raises(EngineError, match=r"model\.bin: missing"):
        open_engine(tmp_path / "model.param")


def test_only_the_outputs_asked_for_are_returned() -> None:
    def infer(canvas: np.ndarray) -> list[np.ndarray]:
        return [canvas + number for number in range(3)]

    engine = one_photo_engine("ncnn", Path("m.param"), ["mask_logits"], 3, infer)
    ((name, values),) = engine(CANVASES).items()
    assert name == "mask_logits"
    np.testing.assert_array_equal(values, CANVASES + 2)
    with pytest.raises(EngineError, match="has no output class_logits"):
        one_photo_engine("ncnn", Path("m.param"), ["class_logits"], 1, infer)
