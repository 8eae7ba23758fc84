"""Photos out of requests, each checked before it is decoded. Nothing is written to disk."""

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from flask import Request
from PIL import Image
from werkzeug.exceptions import BadRequest

from m2fp_kd.runtime.geometry import PhotoError, read_photo
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Decoders that a request may reach; of an animation the first picture is parsed."""

BYTES_OF_PIXEL = 18
"""What a photo takes at its peak, as measured.

To decode it takes 7, where its three are made of Pillow's four, 12 from a progressive JPEG of four channels, 17 from a
WebP. Later come the network's copy, the part map and, most of all, a mosaic, which takes 17.
"""


class MemoryRequest(Request):
    """A request whose uploads stay in memory; Werkzeug would spool larger ones to disk."""

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> io.BytesIO:
        return io.BytesIO()


def photos_of(request: Request, settings: Settings) -> list[bytes]:
    """The photos of a request as they came: files in the field `photo`, raw bytes, or base64 in JSON.

    Raises:
        ApiError: there is none, there are too many, or the body is not what its type says.
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        found = [file.read() for file in request.files.getlist("photo")]
    elif kind == "application/json":
        found = _from_json(request)
    else:
        found = [data] if (data := request.get_data()) else []
    if not found:
        raise ApiError(400, "no_photo", "There is no photo in the request; send it as the form field `photo`, as the "
                       "body, or as base64 in {\"photo\": ...}.")  # fmt: skip
    if len(found) > settings.photos:
        message = f"There are {len(found)} photos in the request; at most {settings.photos} are taken at once."
        raise ApiError(413, "too_many_photos", message)
    return found


def needed_bytes(data: bytes, settings: Settings) -> int:
    """What the photo takes at most, from here to its answer.

    Raises:
        ApiError: it is empty, of another kind, or has too many pixels.
    """
    if not data:
        raise ApiError(400, "no_photo", "The photo is empty; choose another file.")
    try:
        with _broken_files_told(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:  # far too many, says Pillow itself
        raise _too_many_pixels(settings) from error
    if pixels > 1e6 * settings.megapixels:
        raise _too_many_pixels(settings)
    return BYTES_OF_PIXEL * pixels + 2 * len(data)  # decoders too make a copy of the file


def decode(data: bytes) -> np.ndarray:
    """A photo as uint8 (H, W, 3) RGB, upright.

    Raises:
        ApiError: it is broken.
    """
    with _broken_files_told():
        return read_photo(data, FORMATS)


@contextmanager
def _broken_files_told() -> Iterator[None]:
    try:
        yield
    # Pillow's decoders report a broken file by any of these.
    except (PhotoError, OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        kinds = ", ".join(FORMATS)
        raise ApiError(422, "photo_broken", f"The photo cannot be read; send a whole {kinds} file.") from error


def _too_many_pixels(settings: Settings) -> ApiError:
    message = f"The photo has too many pixels; at most {settings.megapixels:g} megapixels are taken."
    return ApiError(413, "too_many_pixels", message)


def _from_json(request: Request) -> list[bytes]:
    try:
        body = request.get_json()
    except BadRequest as error:
        raise ApiError(400, "bad_request", "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ApiError(
            400, "bad_request", 'The JSON body is an object: {"photo": BASE64} or {"photos": [BASE64, ...]}.'
        )
    texts = body.get("photos", [body["photo"]] if "photo" in body else [])
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise ApiError(400, "bad_request", "In JSON, `photo` is a base64 text and `photos` a list of them.")
    try:
        # A data URL is what browsers make of a file.
        return [
            base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
            for text in texts
        ]
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "bad_request", "A photo in the JSON body is not valid base64.") from error
