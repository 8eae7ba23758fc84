"""MediaPipe's metadata in a LiteRT file, with which its segmenter task runs the file as it is.

The layout is that of `metadata_schema.fbs` and `image_segmenter_metadata_schema.fbs` in MediaPipe
(https://github.com/google-ai-edge/mediapipe/tree/master/mediapipe/tasks/metadata); its own writer cannot be imported
from the wheels of MediaPipe 1.2.
"""

import io
import zipfile
from collections.abc import Callable, Sequence

import flatbuffers
import numpy as np

MODEL, SEGMENTER = b"M001", b"V001"
"""Identifiers of the two schemas."""

LABELS_FILE = "labels.txt"
AXIS_LABELS, RGB, IMAGE, SOFTMAX = 2, 1, 2, 2
"""Values of the schema: type of the file, colour space, kind of content, activation."""

Field = Callable[[flatbuffers.Builder], None]
"""Writes a field of the table that was begun."""


def with_labels(model: bytes, labels: Sequence[str], licence: str | None) -> bytes:
    """Return a LiteRT model with metadata, and with the names of its parts appended as a zip archive.

    Args:
        model: the file's bytes; its input is one RGB image, its output are logits (1, h, w, P).
        labels: names of the P parts.
        licence: licence of the weights, or None.
    """
    from ai_edge_litert import schema_py_generated as schema

    root = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    for buffer in root.buffers:
        if buffer.offset > 1:  # the quantiser stores weights behind the graph, at offsets that change below
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    content, entry = schema.BufferT(), schema.MetadataT()
    content.data = np.frombuffer(segmenter_metadata(licence), np.uint8)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(root.buffers)
    root.buffers.append(content)
    root.metadata = [*(root.metadata or []), entry]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(root.Pack(builder), b"TFL3")
    file = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(LABELS_FILE, "\n".join(labels))
    return file.getvalue()


def segmenter_metadata(licence: str | None) -> bytes:
    """Return the metadata: an RGB image in, logits of the parts in `LABELS_FILE` out, whose softmax is wanted."""
    build = flatbuffers.Builder(1024)
    image = _image(build)
    labels = _table(build, 5, {0: LABELS_FILE}, [lambda b: b.PrependInt8Slot(2, AXIS_LABELS, 0)])
    logits = _table(build, 7, {0: "part_logits"}, [_reference(6, _vector(build, [labels]))])
    options = build.CreateByteVector(_segmenter_options())
    custom = _table(build, 2, {0: "SEGMENTER_METADATA"}, [_reference(1, options)])
    vectors = {slot: _vector(build, [table]) for slot, table in ((2, image), (3, logits), (9, custom))}
    graph = _table(build, 10, {}, [_reference(slot, vector) for slot, vector in vectors.items()])
    texts = {0: "m2fp-kd", 1: "human parsing", 5: licence or ""}
    model = _table(build, 8, texts, [_reference(3, _vector(build, [graph]))])
    build.Finish(model, MODEL)
    return bytes(build.Output())


def _image(build: flatbuffers.Builder) -> int:
    properties = _table(build, 2, {}, [lambda b: b.PrependInt8Slot(0, RGB, 0)])
    content = _table(build, 3, {}, [lambda b: b.PrependUint8Slot(0, IMAGE, 0), _reference(1, properties)])
    return _table(build, 7, {0: "images"}, [_reference(3, content)])


def _segmenter_options() -> bytes:
    build = flatbuffers.Builder(64)
    build.Finish(_table(build, 1, {}, [lambda b: b.PrependInt8Slot(0, SOFTMAX, 0)]), SEGMENTER)
    return bytes(build.Output())


def _table(build: flatbuffers.Builder, slots: int, texts: dict[int, str], others: Sequence[Field]) -> int:
    """Write a table with text fields and others; return its offset."""
    fields = [_reference(slot, build.CreateString(text)) for slot, text in texts.items()]
    build.StartObject(slots)
    for write in [*fields, *others]:
        write(build)
    return build.EndObject()


def _reference(slot: int, offset: int) -> Field:
    return lambda build: build.PrependUOffsetTRelativeSlot(slot, offset, 0)


def _vector(build: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    build.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        build.PrependUOffsetTRelative(offset)
    return build.EndVector()
