"""Hostile and malformed requests get a clear JSON error, and the next request is answered."""

import base64
import gc
import io
import struct
import tempfile
import weakref
import zlib
from types import FrameType

import numpy as np
import pytest
from PIL import Image

from m2fp_kd.runtime import geometry
from m2fp_kd.runtime.parser import Parser
from m2fp_kd.serve import app, parse
from m2fp_kd.serve.settings import Settings
from tests.hostile.images import garbage_exif, large_profile, long_text
from tests.serve.conftest import encoded
from tests.serve.test_worker import until

SMALL = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def refused(answer, status, code):
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    assert answer.json["error"]["code"] == code
    message = answer.json["error"]["message"]
    assert message[0].isupper() and message.endswith(".")
    return message


@pytest.fixture(autouse=True)
def the_next_request_is_answered(client):
    yield
    assert client.post("/api/parse", data=encoded(SMALL)).status_code == 200


def png_of(width, height):
    """A PNG that claims a size but holds almost no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {}},
        {"data": {"other": (io.BytesIO(b"x"), "a.png")}},
        {"data": {"photo": (io.BytesIO(b""), "empty.png")}},
        {"json": {}},
        {"json": {"photo": ""}},
        {"json": {"photos": []}},
    ],
)
def test_no_photo(client, body):
    refused(client.post("/api/parse", **body), 400, "no_photo")


@pytest.mark.parametrize(
    "data",
    [
        b"this is text",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        encoded(SMALL)[:200],
        encoded(SMALL, "JPEG")[:400],
        encoded(SMALL, "TIFF"),
        b"%PDF-1.4\n" + encoded(SMALL),
        png_of(100, 100),
        png_of(0, 5),
    ],
    ids=["text", "svg", "half a PNG", "half a JPEG", "TIFF", "polyglot", "more pixels claimed than held", "no pixels"],
)
def test_a_body_that_is_not_a_photo(client, data):
    refused(client.post("/api/parse", data=data), 422, "photo_broken")


def test_pixels_are_counted_before_decoding(client, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("the photo was decoded"))
    for side in (8_000, 20_000):
        message = refused(client.post("/api/parse", data=png_of(side, side)), 413, "too_many_pixels")
        assert "50 megapixels" in message
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("photo", "options"),
    [
        (Image.fromarray(SMALL[:1, :1]), {}),
        (Image.fromarray(SMALL[:1]), {}),
        (Image.fromarray(SMALL).convert("CMYK"), {"kind": "JPEG"}),
        (Image.fromarray(SMALL).convert("LA"), {}),
        (Image.fromarray(SMALL).convert("P"), {}),
        (Image.fromarray(SMALL).convert("1"), {}),
        (Image.fromarray(SMALL[..., 0].astype(np.uint16) * 257), {}),
        (Image.fromarray(SMALL), {"kind": "GIF", "save_all": True, "append_images": [Image.fromarray(255 - SMALL)]}),
    ],
    ids=["1x1", "1 row", "CMYK", "grey with alpha", "palette", "1 bit", "16 bit", "animated"],
)
def test_unusual_photos_are_parsed(client, photo, options):
    answer = client.post("/api/parse", data=encoded(photo, **options))
    assert answer.status_code == 200 and answer.json["size"] == [photo.height, photo.width]


def test_a_photo_with_a_second_picture_behind_it_is_parsed(client):
    data = encoded(Image.fromarray(SMALL), "MPO", save_all=True, append_images=[Image.fromarray(SMALL)])
    assert Image.open(io.BytesIO(data), formats=["JPEG"]).format == "MPO", "the format of some phones"
    assert client.post("/api/parse", data=data).json["size"] == [30, 40]


@pytest.mark.parametrize("path", ["/api/parse", "/api/parse/batch"])
def test_broken_photos_are_freed(client, path):
    def left() -> list[FrameType]:
        frames = [one for one in gc.get_objects() if isinstance(one, FrameType)]
        return [one for one in frames if one.f_code.co_filename in (app.__file__, parse.__file__, geometry.__file__)]

    gc.collect()
    gc.disable()
    try:
        client.post(path, data={"photo": (io.BytesIO(encoded(SMALL)[:200]), "half.png")})
        assert left() == []
    finally:
        gc.enable()


def test_photos_whose_parsing_failed_are_freed(client_with, monkeypatch):
    photos = []

    def fail(self, images):
        photos.extend(weakref.ref(image) for image in images)
        raise RuntimeError("no such photo")

    monkeypatch.setattr(Parser, "__call__", fail)
    gc.disable()
    try:
        refused(client_with().post("/api/parse", data=encoded(SMALL)), 500, "internal")
        until(lambda: all(photo() is None for photo in photos))
    finally:
        gc.enable()
        monkeypatch.undo()
    assert photos


@pytest.mark.parametrize("data", [garbage_exif("PNG"), garbage_exif("WEBP"), long_text(), large_profile("PNG")])
def test_a_photo_with_broken_or_large_metadata_is_parsed(client, data):
    assert client.post("/api/parse", data=data).status_code == 200


def test_a_turned_photo_is_parsed_upright(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = client.post("/api/parse", data=encoded(Image.fromarray(SMALL), "JPEG", exif=exif))
    assert answer.json["size"] == [40, 30]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"data": b"{", "content_type": "application/json"}, "bad_request"),
        ({"json": [1]}, "bad_request"),
        ({"json": {"photo": 5}}, "bad_request"),
        ({"json": {"photos": "abc"}}, "bad_request"),
        ({"json": {"photo": "no base64!"}}, "bad_request"),
        ({"json": {"photo": "äöü"}}, "bad_request"),
        ({"json": {"photos": [base64.b64encode(encoded(SMALL)).decode()] * 2}}, "bad_request"),
    ],
)
def test_wrong_json(client, body, code):
    refused(client.post("/api/parse", **body), 400, code)


def test_a_thousand_files(client):
    for count, code in ((1000, "photo_too_large"), (17, "too_many_photos")):
        files = [(io.BytesIO(b"x"), f"{index}.png") for index in range(count)]
        refused(client.post("/api/parse/batch", data={"photo": files}), 413, code)


def test_too_many_bytes(client_with):
    small = client_with(Settings(megabytes=0.001, requests_per_minute=0))
    message = refused(small.post("/api/parse", data=b"x" * 2000), 413, "photo_too_large")
    assert "0.001 MB" in message
    refused(small.post("/api/parse", data={"photo": (io.BytesIO(b"x" * 2000), "a.png")}), 413, "photo_too_large")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\0b.png", "C:\\x", "'; drop table"])
def test_names_are_never_paths(client, name):
    answer = client.post("/api/parse", data={"photo": (io.BytesIO(encoded(SMALL)), name)})
    assert answer.status_code == 200 and "passwd" not in answer.text


def test_nothing_is_written_to_disk(client, monkeypatch):
    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, lambda *args, **kwargs: pytest.fail("a file was opened"))
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    answer = client.post("/api/parse", data={"photo": (io.BytesIO(encoded(noise)), "large.png")})
    assert answer.status_code == 200 and len(encoded(noise)) > 2_000_000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/parse?mode=huge", 404, "unknown_mode"),
        ("/api/parse?return=everything", 400, "bad_request"),
        ("/api/nothing", 404, "not_found"),
        ("/static/../app.py", 404, "not_found"),
        ("/static/%2e%2e/app.py", 404, "not_found"),
    ],
)
def test_wrong_paths_and_queries(client, path, status, code):
    method = client.post if "/api" in path else client.get
    refused(method(path, data=encoded(SMALL)), status, code)


def test_wrong_methods(client):
    refused(client.get("/api/parse"), 405, "method_not_allowed")
    refused(client.delete("/api/models"), 405, "method_not_allowed")
