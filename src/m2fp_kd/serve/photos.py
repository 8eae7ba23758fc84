"""Read the photos of a request and check each before it is decoded. Nothing is written to disk."""

import base64
import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Request

from m2fp_kd.runtime.apart import read_apart
from m2fp_kd.runtime.geometry import read_photo
from m2fp_kd.runtime.photo_file import PhotoError, PhotoSizeError, opened
from m2fp_kd.serve.deadline import Deadline
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.settings import COPIES, Settings

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""Decoders that a request may use. The first frame of an animation is parsed."""

BYTES_OF_PIXEL = 18
"""Peak memory of a photo in bytes a pixel, as measured.

Decoding peaks at 7 bytes a pixel (Pillow's RGBA buffer and our RGB copy), 12 for progressive CMYK JPEG, 17 for WebP.
Later steps need the network's copy, the part map (one byte a pixel, and 7 MB while it is made) and, most of all, the
mosaic, which peaks at 17.
"""

BYTES_OF_PIXEL_WITH_PERSONS = 27
"""The same for a model that separates persons: a hundred masks of one bit a pixel, and the probabilities of one."""

BYTES_OF_ROW = 2000
"""Further memory of a photo in bytes a row: tables of rows, and the runs of its part map."""

LONGEST_SIDE = 16_384
"""Pixels of a photo's longer side."""

NARROWEST = 100
"""Limit of a photo's longer side divided by the shorter."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "application/octet-stream")
"""Content types of a body that is a photo; none at all and curl's default for `--data-binary` are taken too."""

CURL_TYPE = "application/x-www-form-urlencoded"

LARGEST_WEBP = 1
"""Megapixels of a WebP that is decoded in this process, in 70 ms at most."""

BASE64_STEP = 1 << 20
"""Characters that are decoded at a time, because Python's other threads wait meanwhile."""

JSON_BRACKETS, JSON_COMMAS = 8, 1000
"""Objects and lists, and values, that a JSON body may have. Millions would take 25 times their size in memory."""


@dataclass(frozen=True)
class Size:
    """Cost of a photo.

    Attributes:
        bytes: memory at most, from decoding to its answer.
        megapixels: 10^6 pixels.
    """

    bytes: int
    megapixels: float


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
        found = _from_form(request)
    elif kind == "application/json":
        found = _from_json(request)
    elif not kind or kind in (*IMAGE_TYPES, CURL_TYPE):
        found = [data] if (data := request.get_data(cache=False)) else []
    else:
        kinds = ", ".join(("multipart/form-data", "application/json", *IMAGE_TYPES))
        raise ApiError(415, "content_type", f"The body has an unknown content type; send one of {kinds}.")
    if not found:
        raise ApiError(400, "no_photo", "There is no photo in the request; send it as the form field `photo`, as the "
                       "body, or as base64 in {\"photo\": ...}.")  # fmt: skip
    if len(found) > settings.photos:
        message = f"There are {len(found)} photos in the request; the limit is {settings.photos}."
        raise ApiError(413, "too_many_photos", message)
    return found


def size_of(data: bytes, settings: Settings, persons: bool = False) -> Size:
    """Return the cost of a photo, read from its header.

    Args:
        data: encoded photo.
        settings: limits.
        persons: the model separates persons.

    Raises:
        ApiError: the photo is empty, has another format, is too narrow, or has too many pixels.
    """
    if not data:
        raise ApiError(400, "no_photo", "The photo is empty; choose another file.")
    try:
        with _broken_files_reported(), opened(data, IMAGE_FORMATS, settings.megapixels) as image:
            shorter, longer = sorted(image.size)
            copies = COPIES if image.format == "WEBP" else 2
    except PhotoSizeError as error:
        message = f"The photo has too many pixels; the limit is {settings.megapixels:g} megapixels."
        raise ApiError(413, "too_many_pixels", message) from error
    if longer > LONGEST_SIDE:
        raise ApiError(413, "too_many_pixels", f"A side of the photo has more than {LONGEST_SIDE} pixels; shrink it.")
    if longer > NARROWEST * shorter > 0:
        message = f"The photo is more than {NARROWEST} times as long as wide; crop it."
        raise ApiError(422, "photo_shape", message)
    pixels, rows = shorter * longer, longer  # of the upright photo, which may be turned
    of_pixel = BYTES_OF_PIXEL_WITH_PERSONS if persons else BYTES_OF_PIXEL
    # Decoders copy the file.
    return Size(of_pixel * pixels + BYTES_OF_ROW * rows + copies * len(data), pixels / 1e6)


def decode(data: bytes, size: Size, deadline: Deadline) -> np.ndarray:
    """Decode a photo as uint8 (H, W, 3) RGB, upright.

    Args:
        data: encoded photo.
        size: result of `size_of`.
        deadline: time limit.

    Raises:
        ApiError: the photo is broken, or the deadline has passed.
    """
    with _broken_files_reported():
        if data[8:12] == b"WEBP" and size.megapixels > LARGEST_WEBP:
            return _read_apart(data, deadline)
        return read_photo(data, IMAGE_FORMATS, math.inf)  # `size_of` has checked the size


def _read_apart(data: bytes, deadline: Deadline) -> np.ndarray:
    try:
        return read_apart(data, deadline.left)
    except TimeoutError:
        raise deadline.passed from None


@contextmanager
def _broken_files_reported() -> Iterator[None]:
    try:
        yield
    except PhotoSizeError:
        raise
    except PhotoError as error:
        kinds = ", ".join(IMAGE_FORMATS)
        raise ApiError(422, "photo_broken", f"The photo cannot be read; send a complete {kinds} file.") from error


def _from_form(request: Request) -> list[bytes]:
    found = []
    for file in request.files.getlist("photo"):
        found.append(file.read())
        file.close()
    return found


def _from_json(request: Request) -> list[bytes]:
    data = request.get_data(cache=False)
    if data.count(b"[") + data.count(b"{") > JSON_BRACKETS or data.count(b",") > JSON_COMMAS:
        raise ApiError(400, "bad_request", 'The JSON body holds more than photos; send {"photo": BASE64}.')
    if not data.isascii() or b"\\u" in data:  # Python would take four bytes for each character of the text
        raise ApiError(400, "bad_request", "The JSON body holds other characters than base64 has.")
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ApiError(400, "bad_request", "The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise ApiError(
            400, "bad_request", 'The JSON body must be an object: {"photo": BASE64} or {"photos": [BASE64, ...]}.'
        )
    texts = body.get("photos", [body["photo"]] if "photo" in body else [])
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise ApiError(400, "bad_request", "In JSON, `photo` must be a base64 string and `photos` a list of them.")
    try:
        return [_from_base64(text) for text in texts]
    except ValueError as error:
        raise ApiError(400, "bad_request", "A photo in the JSON body is not valid base64.") from error


def _from_base64(text: str) -> bytes:
    """Decode base64, or a data URL, as which browsers encode a file."""
    start = text.rfind(",") + 1 if text.startswith("data:") else 0
    steps = range(start, len(text), BASE64_STEP)
    pieces = [base64.b64decode(text[one : one + BASE64_STEP], validate=True) for one in steps]
    if any(len(piece) != BASE64_STEP // 4 * 3 for piece in pieces[:-1]):
        raise ValueError("padding before the end")
    return b"".join(pieces)
