"""Read the photos of a request and check each before it is decoded. Nothing is written to disk."""

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

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Decoders that a request may use. The first frame of an animation is parsed."""

BYTES_OF_PIXEL = 18
"""Peak memory of a photo in bytes a pixel, as measured.

Decoding peaks at 7 bytes a pixel (Pillow's RGBA buffer and our RGB copy), 12 for progressive CMYK JPEG, 17 for WebP.
Later steps need the network's copy, the part map and, most of all, the mosaic, which peaks at 17.
"""


class MemoryRequest(Request):
    """A request that keeps its uploads in memory; Werkzeug would write larger ones to disk."""

    def _get_file_stream(self, *args: Any, **kwargs: Any) -> io.BytesIO:
        return io.BytesIO()


def photos_of(request: Request, settings: Settings) -> list[bytes]:
    """Return a request's encoded photos: files in the field `photo`, the raw body, or base64 in JSON.

    Raises:
        ApiError: the request has no photo or too many, or its body does not match its content type.
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
        message = f"There are {len(found)} photos in the request; the limit is {settings.photos}."
        raise ApiError(413, "too_many_photos", message)
    return found


def needed_bytes(data: bytes, settings: Settings) -> int:
    """Return the bytes that a photo needs at most, from decoding to its answer.

    Args:
        data: encoded photo.
        settings: limits.

    Raises:
        ApiError: the photo is empty, has another format, or has too many pixels.
    """
    if not data:
        raise ApiError(400, "no_photo", "The photo is empty; choose another file.")
    try:
        with _broken_files_reported(), Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:  # Pillow's own limit of pixels
        raise _too_many_pixels(settings) from error
    if pixels > 1e6 * settings.megapixels:
        raise _too_many_pixels(settings)
    return BYTES_OF_PIXEL * pixels + 2 * len(data)  # decoders copy the file


def decode(data: bytes) -> np.ndarray:
    """Decode a photo as uint8 (H, W, 3) RGB, upright.

    Raises:
        ApiError: the photo is broken.
    """
    with _broken_files_reported():
        return read_photo(data, IMAGE_FORMATS)


@contextmanager
def _broken_files_reported() -> Iterator[None]:
    try:
        yield
    # Pillow's decoders raise any of these for a broken file.
    except (PhotoError, OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        kinds = ", ".join(IMAGE_FORMATS)
        raise ApiError(422, "photo_broken", f"The photo cannot be read; send a complete {kinds} file.") from error


def _too_many_pixels(settings: Settings) -> ApiError:
    message = f"The photo has too many pixels; the limit is {settings.megapixels:g} megapixels."
    return ApiError(413, "too_many_pixels", message)


def _from_json(request: Request) -> list[bytes]:
    try:
        body = request.get_json()
    except BadRequest as error:
        raise ApiError(400, "bad_request", "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ApiError(
            400, "bad_request", 'The JSON body must be an object: {"photo": BASE64} or {"photos": [BASE64, ...]}.'
        )
    texts = body.get("photos", [body["photo"]] if "photo" in body else [])
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise ApiError(400, "bad_request", "In JSON, `photo` must be a base64 string and `photos` a list of them.")
    try:
        # Browsers encode a file as a data URL.
        return [
            base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
            for text in texts
        ]
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "bad_request", "A photo in the JSON body is not valid base64.") from error
