"""MediaPipe's metadata of a LiteRT file, read back with the schema."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.compress.export.litert_metadata import segmenter_metadata
from m2fp_kd.runtime.engines import open_engine
from tests.runtime.tiny_tflite import cast_model


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    pytest.importorskip("ai_edge_litert")
    from m2fp_kd.compress.export.litert_metadata import with_labels

    path = tmp_path / "model.tflite"
    path.write_bytes(with_labels(cast_model(16), ("background", "head", "torso"), "CC BY-NC 4.0"))
    return path


def test_the_file_runs_as_before_and_opens_as_an_archive_of_its_labels(labelled: Path) -> None:
    canvas = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(open_engine(labelled)(canvas)["part_logits"], canvas.transpose(0, 3, 1, 2))
    with zipfile.ZipFile(labelled) as archive:
        assert archive.read("labels.txt").decode().split("\n") == ["background", "head", "torso"]


def test_the_model_points_to_the_metadata(labelled: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(labelled.read_bytes(), 0))
    (entry,) = model.metadata
    assert entry.name == b"TFLITE_METADATA"
    content = bytes(model.buffers[entry.buffer].data)
    assert content == segmenter_metadata("CC BY-NC 4.0") and content[4:8] == b"M001"


def test_weights_behind_the_graph_move_into_it(tmp_path: Path) -> None:
    """The quantiser stores weights after the graph, at offsets that adding metadata would break."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    from m2fp_kd.compress.export.litert_metadata import with_labels

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(cast_model(16), 0))
    buffer = schema.BufferT()
    buffer.offset, buffer.size = 4096, 5
    model.buffers.append(buffer)
    import flatbuffers

    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = bytes(builder.Output()).ljust(4096, b"\0") + b"hello"
    found = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(with_labels(content, ["a"], None), 0))
    assert bytes(found.buffers[1].data) == b"hello" and found.buffers[1].offset == 0


def test_mediapipes_segmenter_runs_the_file(tmp_path: Path) -> None:
    """The model's logits are the photo's own colours, so that each pixel's part is its strongest colour."""
    pytest.importorskip("ai_edge_litert")
    mediapipe = pytest.importorskip("mediapipe", reason="needs `pip install mediapipe`, in an environment of its own")
    from mediapipe.tasks.python import BaseOptions, vision

    from m2fp_kd.compress.export.litert_metadata import with_labels

    content = with_labels(cast_model(64), ("background", "head", "torso"), "CC BY-NC 4.0")
    base = BaseOptions(model_asset_buffer=content)
    options = vision.ImageSegmenterOptions(base, output_category_mask=True, output_confidence_masks=True)
    canvas = np.random.default_rng(2).permutation(256 * 48).reshape(64, 64, 3) % 253
    photo = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=canvas.astype(np.uint8))
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        assert segmenter.labels == ["background", "head", "torso"]
        found = segmenter.segment(photo)
    part_map = np.squeeze(found.category_mask.numpy_view())
    first, second = np.sort(canvas, axis=2)[..., ::-1][..., :2].transpose(2, 0, 1)
    decided = first > second
    np.testing.assert_array_equal(part_map[decided], canvas.argmax(axis=2)[decided])
    shares = np.dstack([np.squeeze(mask.numpy_view()) for mask in found.confidence_masks])
    np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-3)  # a softmax: the metadata asks for it
