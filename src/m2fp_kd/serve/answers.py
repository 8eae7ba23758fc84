"""The JSON answer for a photo."""

import base64
import io
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
from PIL import Image

from m2fp_kd.labels import Translation
from m2fp_kd.runtime.described import described, outlines
from m2fp_kd.runtime.files import index_image
from m2fp_kd.runtime.formats import Found, rle
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.serve.errors import ApiError
from m2fp_kd.serve.models import Model

FEW_CORNERS, PIXELS_OF_CORNER = 10_000, 60
"""Corners that polygons may have in any photo, and pixels of a photo for each further one. A corner takes 250 bytes."""

RETURNS = ("map", "masks", "rle", "polygons", "confidence", "mosaic")


def wanted(text: str, probabilities: bool) -> frozenset[str]:
    """Parse the query ``return=``: members of `RETURNS`, separated by commas, or "all" that the model can give.

    Args:
        text: value of the query.
        probabilities: whether the model gives probabilities.

    Raises:
        ApiError: a name is unknown, or the model cannot give it.
    """
    names = frozenset(filter(None, text.split(",")))
    if unknown := sorted(names - {*RETURNS, "all"}):
        raise ApiError(
            400, "bad_request", f"There is no return={unknown[0]}; choose from {', '.join(RETURNS)} and all."
        )
    if "confidence" in names and not probabilities:
        raise ApiError(400, "bad_request", "This model gives no probabilities; leave out return=confidence.")
    possible = frozenset(RETURNS) - (frozenset() if probabilities else {"confidence"})
    return possible if "all" in names else names


def translation_of(model: Model, name: str) -> Translation | None:
    """Return the translation of a model's answers to the label set of the query ``labels=``; "" is the model's own.

    Raises:
        ApiError: there is none.
    """
    if name and name not in model.translations:
        choices = ", ".join(model.translations)
        message = f"The model '{model.mode}' gives no labels={name}; choose from {choices}."
        raise ApiError(400, "bad_request", message)
    return model.translations[name] if name else None


def answer(
    mode: str, model: str, parsing: Parsing, timings: dict[str, float], wants: Collection[str]
) -> dict[str, Any]:
    """Return the JSON object for one photo.

    Args:
        mode: mode of the model that parsed it.
        model: id of that model in `/api/models`.
        parsing: result for the photo.
        timings: milliseconds by step.
        wants: members of `RETURNS` to include.
    """
    if "polygons" in wants:
        _refuse_specks(parsing.part_map)
    facts = described(parsing)
    for part, found in zip(facts["parts"], parsing.parts, strict=True):
        part |= _shapes(found, wants)
    of_people = wants if parsing.people_kind == "persons" else set(wants) - {"masks"}
    for person, one in zip(facts["people"]["found"], parsing.people, strict=True):
        person |= _shapes(one, of_people)
    result: dict[str, Any] = {"mode": mode, "model": model, "labels": parsing.labels.name}
    result |= {"licence": parsing.licence, **facts}
    result["timings_ms"] = {step: round(value, 3) for step, value in timings.items()}
    if "map" in wants:
        result["map"] = _text(_png(index_image(parsing.part_map, parsing.labels)))
    if "confidence" in wants:
        result["confidence"] = _text(_png(Image.fromarray(parsing.confidence()), compress_level=1))
    if "mosaic" in wants:
        buffer = io.BytesIO()
        parsing.mosaic().save(buffer, "JPEG", quality=90, subsampling=0)
        result["mosaic"] = _text(buffer.getvalue())
    return result


def _refuse_specks(part_map: np.ndarray) -> None:
    """Refuse polygons of a part map with too many corners, which would take more memory than a photo is charged.

    Raises:
        ApiError: it has too many.
    """
    here, right, below, across = part_map[:-1, :-1], part_map[:-1, 1:], part_map[1:, :-1], part_map[1:, 1:]
    corners = int(np.count_nonzero(((here != right) | (below != across)) & ((here != below) | (right != across))))
    most = FEW_CORNERS + part_map.size // PIXELS_OF_CORNER
    if corners > most:
        words = f"The part map has {corners} corners, and polygons of this photo may have {most}: ask for rle or masks."
        raise ApiError(422, "too_detailed", words)


def _shapes(found: Found, wants: Collection[str]) -> dict[str, Any]:
    """Return the mask, run lengths and polygons of a part, person or region that are wanted."""
    left, top, right, bottom = found.box
    shapes: dict[str, Any] = {}
    if "masks" in wants:
        shapes["mask"] = _text(_png(Image.fromarray(found.mask)))
    if "rle" in wants:
        mask = found.mask
        shapes["rle"] = rle(mask[top:bottom, left:right], (top, left), mask.shape)
    if "polygons" in wants:
        shapes["polygons"] = outlines(found)
    return shapes


def _png(image: Image.Image, **compression: int) -> bytes:
    buffer = io.BytesIO()
    # Run lengths are zlib's fastest strategy; on part maps the files are a third smaller than the default's at level 1.
    image.save(buffer, "PNG", **(compression or {"compress_type": zlib.Z_RLE}))
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
